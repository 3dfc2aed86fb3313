/**
 * What condredirect, bouncesaying and except share, which run a program on their own input, and what preline, predate and dot-forward
 * share, which run one on another: they go by its exit code.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { EXIT } from "../exit.ts";
import { NamelessFile } from "../files/nameless-file.ts";
import type { Outcome } from "../inject/context.ts";
import { isPassing, systemText } from "./failure.ts";

/**
 * Runs `program` with our descriptors. True: it left with 0. False: with anything else, or there is no such
 * program. An outcome: it says "later", or crashed.
 */
export function succeeds([program = "", ...args]: readonly string[]): Promise<boolean | Outcome> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: "inherit" });
    child.on("error", (error) => resolve(isPassing(error) ? LATER : false));
    child.on("exit", (code) => {
      if (code === null) resolve(CRASHED);
      else resolve(code === EXIT.soft ? LATER : code === EXIT.ok);
    });
  });
}

const LATER: Outcome = { code: EXIT.soft, message: "temporary child error" };
const CRASHED: Outcome = { code: EXIT.soft, message: "child crashed" };

/**
 * Runs `program` with `input` on its descriptor 0, read to its end before, and our descriptors else. Its exit code is the outcome's:
 * not to read all of it is no failure.
 */
export async function runOn(
  [program = "", ...args]: readonly string[],
  input: AsyncIterable<Buffer>,
): Promise<Outcome> {
  let file: NamelessFile;
  try {
    file = await NamelessFile.holding(input);
  } catch (error) {
    return { code: EXIT.soft, message: `unable to copy input: ${systemText(error)}` };
  }
  try {
    return await outcomeOf(
      file.lend((fd) => spawn(program, args, { stdio: [fd, "inherit", "inherit"] })),
    );
  } catch (error) {
    const code = isPassing(error) ? EXIT.soft : EXIT.hard;
    return { code, message: `unable to run ${program}: ${systemText(error)}` };
  } finally {
    file.close();
  }
}

function outcomeOf(child: ChildProcess): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => resolve(code === null ? CRASHED : { code, message: "" }));
  });
}
