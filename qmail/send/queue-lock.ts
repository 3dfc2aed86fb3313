/** Who may work on the queue: one qmail-send at a time with what it has started, and none while it is being repaired. */

import { closeSync, constants, existsSync, fstatSync, openSync, statSync } from "node:fs";
import { lockExclusive } from "../files/lock.ts";
import { REPAIR_DIRECTORY } from "../queue/protocol.ts";

/** What the log says when the queue cannot be had (C qmail: qmail-send.c, main). */
export class QueueTakenError extends Error {}

/**
 * Takes the queue: the descriptor of lock/sendmutex, locked. Nothing gives it back but the end of every process that
 * has it, so those that read or change the queue for a qmail-send share it: none of them can outlive that qmail-send
 * into the time of the next. Throws QueueTakenError.
 */
export function takeQueue(queue: string): number {
  try {
    statSync(`${queue}/.`);
  } catch {
    throw new QueueTakenError("unable to switch to queue directory");
  }
  if (existsSync(`${queue}/${REPAIR_DIRECTORY}`)) {
    throw new QueueTakenError("the queue is being repaired: end that with qmailctl queue repair");
  }
  const mutex = openMutex(queue);
  try {
    if (lockExclusive(mutex)) return mutex;
  } catch (error) {
    closeSync(mutex);
    throw new QueueTakenError((error as Error).message);
  }
  closeSync(mutex);
  throw new QueueTakenError("qmail-send is already running");
}

/** Root opens it in a directory of somebody else's: the file itself, or nothing. */
function openMutex(queue: string): number {
  let mutex = -1;
  try {
    mutex = openSync(`${queue}/lock/sendmutex`, constants.O_RDWR | constants.O_NOFOLLOW);
    if (fstatSync(mutex).isFile()) return mutex;
  } catch {
    // Said below.
  }
  if (mutex >= 0) closeSync(mutex);
  throw new QueueTakenError("unable to open mutex");
}
