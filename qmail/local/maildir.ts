/**
 * Delivery into a Maildir (maildir(5)): written and synced under tmp/, then renamed into new/, whose
 * name is synced too before success is said. A reader sees the whole message or none.
 *
 * C qmail links the new name and removes the old one, because a rename could replace a message of the
 * same name. Here the name in new/ holds the file's inode number, so no other file that exists can have
 * it, and one call is enough. On NFS an answer may be lost and the call repeated: then what it says is
 * that the file is no longer in tmp/, and new/ tells what became of it.
 */

import {
  accessSync,
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  fsync,
  openSync,
  renameSync,
  statSync,
  unlinkSync,
  writevSync,
} from "node:fs";
import { hostname } from "node:os";
import { fsPath } from "../files/bytes.ts";
import type { GroupSync } from "../files/groupsync.ts";
import { cleanTmp } from "../maildir/maildir.ts";
import type { Message } from "../spawn/message.ts";
import { DeliveryFailure, isPassing, temporary } from "./failure.ts";

/** A delivery that takes longer is given up (maildir(5)): cleaners of tmp/ count on it. */
const LONGEST_MS = 24 * 60 * 60 * 1000;

const CLEAN_EVERY_MS = 60 * 60 * 1000;
const CLEANED_MAX = 1000;

const HOST = escapeHost(hostname());

let deliveries = 0;

/** A host name as part of a file name: a slash cannot be in one, and a colon begins the flags. */
export function escapeHost(host: string): string {
  return host.replaceAll("/", "\\057").replaceAll(":", "\\072");
}

/** What begins the names of a delivery: time, process, count; no other on this host has it. */
function uniqueStart(now: number): string {
  const seconds = Math.floor(now / 1000);
  return `${seconds}.M${(now % 1000) * 1000}P${process.pid}Q${++deliveries}`;
}

/** The Maildirs that one process delivers into. */
export class Maildirs {
  readonly #sync: GroupSync;
  /** Paths in tmp/ that are being written. */
  readonly #atWork = new Set<string>();
  /** When tmp/ of a Maildir was last cleaned, by the monotonic clock. */
  readonly #cleaned = new Map<string, number>();

  constructor(sync: GroupSync) {
    this.#sync = sync;
  }

  /**
   * Delivers `message` with `head` before it into the Maildir `directory`, a byte string. Throws
   * DeliveryFailure; then nothing is in new/, or what is there is whole but may not survive a crash.
   */
  async deliver(
    directory: string,
    { head, message }: { head: string; message: Message },
  ): Promise<void> {
    const start = uniqueStart(Date.now());
    const written = `${directory}/tmp/${start}.${HOST}`;
    this.#atWork.add(written);
    try {
      await store(directory, { start, written, head, message });
    } finally {
      this.#atWork.delete(written);
    }
    // It is there but may not survive: said to be tried again, since twice is better than never.
    await this.#sync.sync(fsPath(`${directory}/new`)).catch(() => Promise.reject(troubled()));
    this.#clean(directory);
  }

  /** Not every reader removes what deliveries left that were cut off. */
  #clean(directory: string): void {
    const now = performance.now();
    const last = this.#cleaned.get(directory);
    if (last !== undefined && now - last < CLEAN_EVERY_MS) return;
    if (this.#cleaned.size >= CLEANED_MAX) this.#cleaned.clear();
    this.#cleaned.set(directory, now);
    cleanTmp(directory, Date.now(), { atWork: this.#atWork });
  }
}

interface Storing {
  readonly start: string;
  /** Where it is written. */
  readonly written: string;
  readonly head: string;
  readonly message: Message;
}

async function store(directory: string, { start, written, head, message }: Storing): Promise<void> {
  const deadline = performance.now() + LONGEST_MS;
  const fd = create(directory, written);
  try {
    let stat: BigIntStats;
    try {
      await write(fd, { head, message, deadline });
      await synced(fd);
      stat = fstatSync(fd, { bigint: true });
    } finally {
      // What NFS could not write is said here at the latest.
      closeSync(fd);
    }
    const inode = `V${stat.dev.toString(16)}I${BigInt.asUintN(64, stat.ino).toString(16)}`;
    move(written, `${directory}/new/${start}${inode}.${HOST}`, stat.ino);
  } catch (error) {
    remove(written);
    throw error instanceof DeliveryFailure ? error : troubled();
  }
}

function troubled(): DeliveryFailure {
  return temporary("Temporary error on maildir delivery. (#4.3.0)\n");
}

function create(directory: string, path: string): number {
  try {
    return openSync(fsPath(path), "wx", 0o600);
  } catch {
    throw maildirTrouble(directory) ?? troubled();
  }
}

/** Why nobody as whom this process runs can deliver into `directory`; null when nothing is in the way. */
export function maildirTrouble(directory: string): DeliveryFailure | null {
  try {
    // The dot asks for what going there needs: a directory, and the right to search it.
    statSync(fsPath(`${directory}/.`));
  } catch (error) {
    return isPassing(error) ? troubled() : temporary("Unable to chdir to maildir. (#4.2.1)\n");
  }
  try {
    for (const sub of ["tmp", "new"]) {
      accessSync(fsPath(`${directory}/${sub}/.`), constants.W_OK | constants.X_OK);
    }
    return null;
  } catch {
    return troubled();
  }
}

function move(from: string, to: string, inode: bigint): void {
  try {
    renameSync(fsPath(from), fsPath(to));
  } catch (error) {
    const there = statSync(fsPath(to), { bigint: true, throwIfNoEntry: false });
    if (there?.ino !== inode) throw error;
  }
}

function remove(path: string): void {
  try {
    unlinkSync(fsPath(path));
  } catch {
    // Gone already, or cleaned away by a reader after 36 hours.
  }
}

function synced(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fsync(fd, (error) => (error ? reject(error) : resolve()));
  });
}

async function write(
  fd: number,
  { head, message, deadline }: { head: string; message: Message; deadline: number },
): Promise<void> {
  let first = Buffer.from(head, "latin1");
  for await (const chunk of message.chunks()) {
    if (performance.now() > deadline) throw temporary("Timeout on maildir delivery. (#4.3.0)\n");
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
