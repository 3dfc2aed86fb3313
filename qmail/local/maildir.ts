/**
 * Delivery into a Maildir (maildir(5)): written and synced under tmp/, then renamed into new/, whose
 * name is synced too before success is said. A reader sees the whole message or none.
 */

import {
  accessSync,
  closeSync,
  constants,
  fsync,
  openSync,
  renameSync,
  statSync,
  unlinkSync,
  writevSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { GroupSync } from "../files/groupsync.ts";
import type { Message } from "../spawn/message.ts";
import { type DeliveryFailure, temporary } from "./failure.ts";

const synced = promisify(fsync);

// A slash cannot be in a file name, and a colon begins the flags.
const HOST = hostname().replaceAll("/", "\\057").replaceAll(":", "\\072");

let deliveries = 0;

/** A name that no delivery on this host or another has: time, process, count, host. */
function uniqueName(): string {
  const now = Date.now();
  const seconds = Math.floor(now / 1000);
  return `${seconds}.M${(now % 1000) * 1000}P${process.pid}Q${++deliveries}.${HOST}`;
}

/**
 * Delivers `message` with `head` before it into the Maildir `directory`.
 * Throws DeliveryFailure; nothing is left in new/ then.
 */
export async function deliverMaildir(
  directory: string,
  { head, message, sync }: { head: string; message: Message; sync: GroupSync },
): Promise<void> {
  const name = uniqueName();
  const temporaryFile = join(directory, "tmp", name);
  const fd = create(directory, temporaryFile);
  try {
    try {
      await write(fd, head, message);
      await synced(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporaryFile, join(directory, "new", name));
  } catch {
    unlinkSync(temporaryFile);
    throw temporary("Temporary error on maildir delivery. (#4.3.0)\n");
  }
  await sync.sync(join(directory, "new")).catch(() => {
    // It is there but may not survive: said to be tried again, since twice is better than never.
    throw temporary("Temporary error on maildir delivery. (#4.3.0)\n");
  });
}

function create(directory: string, path: string): number {
  try {
    return openSync(path, "wx", 0o600);
  } catch {
    throw maildirTrouble(directory) ?? temporary("Temporary error on maildir delivery. (#4.3.0)\n");
  }
}

/** Why nobody as whom this process runs can deliver into `directory`; null when nothing is in the way. */
export function maildirTrouble(directory: string): DeliveryFailure | null {
  if (!enters(directory)) return temporary("Unable to chdir to maildir. (#4.2.1)\n");
  try {
    for (const sub of ["tmp", "new"]) {
      accessSync(join(directory, sub), constants.W_OK | constants.X_OK);
    }
    return null;
  } catch {
    return temporary("Temporary error on maildir delivery. (#4.3.0)\n");
  }
}

function enters(directory: string): boolean {
  try {
    accessSync(directory, constants.X_OK);
    return statSync(directory).isDirectory();
  } catch {
    return false;
  }
}

async function write(fd: number, head: string, message: Message): Promise<void> {
  let first = Buffer.from(head, "latin1");
  for await (const chunk of message.chunks()) {
    writeWhole(fd, [first, chunk]);
    first = Buffer.alloc(0);
  }
  if (first.length > 0) writeWhole(fd, [first]);
}

function writeWhole(fd: number, parts: Buffer[]): void {
  let left = parts.reduce((sum, { length }) => sum + length, 0);
  left -= writevSync(fd, parts);
  // A write to a file is only short when the disk is full: the next one says so.
  if (left > 0) {
    const rest = Buffer.concat(parts);
    while (left > 0) left -= writevSync(fd, [rest.subarray(rest.length - left)]);
  }
}
