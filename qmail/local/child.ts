/** What condredirect, bouncesaying and except share: they run a program on the message and go by its exit code. */

import { spawn } from "node:child_process";
import { EXIT } from "../exit.ts";
import type { Outcome } from "../inject/context.ts";
import { isPassing } from "./failure.ts";

/**
 * Runs `program` with our descriptors. True: it left with 0. False: with anything else, or there is no such
 * program. An outcome: it says "later", or crashed.
 */
export function succeeds([program = "", ...args]: readonly string[]): Promise<boolean | Outcome> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: "inherit" });
    child.on("error", (error) => resolve(isPassing(error) ? LATER : false));
    child.on("exit", (code) => {
      if (code === null) resolve({ code: EXIT.soft, message: "child crashed" });
      else resolve(code === EXIT.soft ? LATER : code === EXIT.ok);
    });
  });
}

const LATER: Outcome = { code: EXIT.soft, message: "temporary child error" };
