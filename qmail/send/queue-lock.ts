/** Who may work on the queue: one qmail-send at a time, and none while it is being repaired. */

import { existsSync, openSync, statSync } from "node:fs";
import { lockExclusive } from "../files/lock.ts";
import { REPAIR_DIRECTORY } from "../queue/protocol.ts";

/**
 * Takes the queue for this process; nothing gives it back but its end. Returns null, or why it cannot be had, as the
 * log says it (C qmail: qmail-send.c, main).
 */
export function takeQueue(queue: string): string | null {
  try {
    statSync(`${queue}/.`);
  } catch {
    return "unable to switch to queue directory";
  }
  if (existsSync(`${queue}/${REPAIR_DIRECTORY}`)) {
    return "the queue is being repaired: end that with qmailctl queue repair";
  }
  let mutex: number;
  try {
    mutex = openSync(`${queue}/lock/sendmutex`, "r+");
  } catch {
    return "unable to open mutex";
  }
  try {
    // Held by the open file until we are gone: nothing closes it.
    return lockExclusive(mutex) ? null : "qmail-send is already running";
  } catch (error) {
    return (error as Error).message;
  }
}
