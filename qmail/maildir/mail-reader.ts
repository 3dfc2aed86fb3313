/** elq, pinq and qail: mail readers that know mboxes only, on what maildir2mbox has moved into one. */

import { spawn } from "node:child_process";
import { programEnv } from "../arguments.ts";
import { EXIT } from "../exit.ts";
import { exitWith, type Outcome } from "../inject/context.ts";
import { systemText } from "../local/failure.ts";
import { maildir2mbox } from "./maildir2mbox.ts";

/** Ends this program, called `name`, as the reader `command` with our arguments behind its own. */
export async function readMail(name: string, command: readonly string[]): Promise<never> {
  process.umask(0o077);
  const warn = (line: string) => process.stderr.write(`${name}: warning: ${line}\n`);
  const moved = await maildir2mbox(programEnv(), { now: Date.now(), warn });
  if (moved.code !== EXIT.ok) exitWith(name, moved);
  exitWith(name, await run([...command, ...process.argv.slice(2)]));
}

function run([program = "", ...args]: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: "inherit" });
    child.on("error", (error) =>
      resolve({ code: EXIT.hard, message: `unable to run ${program}: ${systemText(error)}` }),
    );
    child.on("exit", (code) => resolve({ code: code ?? EXIT.soft, message: "" }));
    // The reader decides what an interrupt means.
    process.on("SIGINT", () => {});
    process.on("SIGQUIT", () => {});
  });
}
