/** The one catch and the one place that decides the exit code. */

import kleur from "kleur";
import { CommandError } from "../commands/output.ts";
import { harmlessLines } from "../commands/printable.ts";
import { EXIT } from "../qmail/exit.ts";
import { runCommand } from "./commands.ts";
import { reportError } from "./output.ts";

/** Runs the command line `args`. Resolves with the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  // A reader that has had enough (head, less) is no error.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(EXIT.ok);
    throw error;
  });
  kleur.enabled = process.stdout.isTTY === true && !process.env.NO_COLOR;
  try {
    return await runCommand(args);
  } catch (error) {
    if (error instanceof CommandError) {
      reportError(error);
      return error.code;
    }
    // The launcher knows what to say.
    if ((error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND") throw error;
    process.stderr.write(
      `qmailctl: this is a bug, please report it:\n${harmlessLines(String((error as Error).stack))}\n`,
    );
    return EXIT.bug;
  }
}
