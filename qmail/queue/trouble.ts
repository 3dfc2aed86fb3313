/** Trouble with a message on its way in, for those who put it in and for the log. */

import { QQ } from "../exit.ts";
import { type Warnings, warn } from "../warn.ts";
import { QueueError } from "./intake.ts";

/** qmail-queue's exit code for `error`, which the log is told of. */
export function codeOf(error: unknown, warnings: Warnings): number {
  if (error instanceof QueueError) {
    warnings.say(error.message);
    return error.code;
  }
  warn(`internal bug: ${(error as Error).stack}`);
  return QQ.internalBug;
}
