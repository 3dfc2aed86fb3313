/** Services that a supervisor which was killed has left running. */

import * as supervise from "../qmail/supervise/leftovers.ts";
import { CommandError, type Output } from "./output.ts";

/** Ends what was left in `home`, and says so. Resolves with how many services there were. */
export async function endLeftovers(home: string, output: Output): Promise<number> {
  try {
    return await supervise.endLeftovers(home, ({ service, pid }) =>
      output.line(`${service} was left by a supervisor that died: ending it (pid ${pid})`),
    );
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "EPERM" && code !== "EACCES") throw error;
    throw new CommandError(`cannot end what a supervisor that died has left: ${message}`, {
      hints: ["run it as the user who started the mail server, or as root"],
      cause: error,
    });
  }
}
