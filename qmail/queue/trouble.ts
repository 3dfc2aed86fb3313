/** Trouble with a message on its way in, for those who put it in and for the log. */

import { QQ } from "../exit.ts";
import { warn } from "../warn.ts";
import { QueueError } from "./intake.ts";

/** qmail-queue's exit code for `error`, which the log is told of; `whose` names the door (warn.ts). */
export function codeOf(error: unknown, whose: string): number {
  if (error instanceof QueueError) {
    warn(error.message, whose);
    return error.code;
  }
  warn(`internal bug: ${(error as Error).stack}`);
  return QQ.internalBug;
}
