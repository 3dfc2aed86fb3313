/**
 * Feeding a qmail-send that is not ours: a C qmail-send has no queue server to take in what is left
 * in drop. What qmail-queue may do itself, as the user qmailq, it then does itself, as C's does.
 *
 * That there is such a qmail-send shows at lock/trigger: the FIFO can only be opened for writing
 * while somebody reads it. (lock/sendmutex, which it has locked, is closed to qmailq.) Should it be ours after all,
 * its doors not open yet, nothing is wrong: it reads todo when the trigger is pulled, as C's does.
 */

import { closeSync, constants, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { QQ } from "../exit.ts";
import { fsyncCarriesName, GroupSync } from "../files/groupsync.ts";
import { readIds } from "../ids.ts";
import { Drops } from "./drop.ts";
import { QueueError } from "./intake.ts";
import { MadeClock } from "./made.ts";
import { DROP_DIRECTORY } from "./protocol.ts";
import { type QueueResult, queueFailure } from "./qmail.ts";

/**
 * Puts the drop file `name`, which no server takes, into the queue of the installation in `home` and
 * pulls the trigger. Null when that is not ours to do: nobody listens there, or we are not qmailq.
 */
export async function feedForeign(home: string, name: string): Promise<QueueResult | null> {
  const trigger = openTrigger(home);
  if (trigger === null) return null;
  // Another process must be able to read what a caller with a strict umask puts in.
  const umask = process.umask(0o033);
  try {
    const ids = readIds(home);
    if (process.geteuid?.() !== ids.uid.qmailq) return null;
    const queue = join(home, "queue");
    const context = {
      queue,
      fsyncCarriesName: fsyncCarriesName(queue),
      sync: new GroupSync(),
      made: new MadeClock(),
      now: () => Math.floor(Date.now() / 1000),
      queued: () => pull(trigger),
    };
    const drops = new Drops(context, ids, join(home, DROP_DIRECTORY));
    await drops.take(name, process.pid);
    return { ok: true, qp: process.pid };
  } catch (error) {
    return queueFailure(error instanceof QueueError ? error.code : QQ.internalBug);
  } finally {
    process.umask(umask);
    closeSync(trigger);
  }
}

/** lock/trigger opened for writing; null when nobody reads it, or it is closed to us. */
function openTrigger(home: string): number | null {
  try {
    const flags = constants.O_WRONLY | constants.O_NONBLOCK;
    return openSync(join(home, "queue/lock/trigger"), flags);
  } catch {
    return null;
  }
}

function pull(trigger: number): void {
  try {
    writeSync(trigger, "\0");
  } catch {
    // Full: it has been pulled. Broken: todo is read at the next start.
  }
}
