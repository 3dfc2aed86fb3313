/**
 * Delivery to an mbox (mbox(5)): under its locks, From_ quoted, cut back to where it was when it fails.
 *
 * Both locks are taken that programs go by: flock(2), as qmail does, and a lock file `mbox.lock`, as
 * Debian policy 11.6 asks for (procmail, maildrop, mutt, liblockfile; those that ask the kernel first, by
 * fcntl, make the lock file all the same). Where no lock file can be made, as in /var/mail for who is not
 * in its group, flock has to do.
 *
 * Taking flock costs a process. So who finds the mbox at work waits, and all who wait are written under
 * one pair of locks and one sync.
 */

import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  fsync,
  ftruncateSync,
  openSync,
  readSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { syncDirectory } from "../files/atomic.ts";
import { fsPath } from "../files/bytes.ts";
import { DotLock } from "../files/dotlock.ts";
import { LockBusyError, lockWaiting } from "../files/lock.ts";
import type { Message } from "../spawn/message.ts";
import { DeliveryFailure, systemText, temporary } from "./failure.ts";
import { FromQuoter } from "./from-quoter.ts";

const LOCK_SECONDS = 30;
/** So many messages are written before others get their turn at the locks. */
const BATCH_MAX = 100;
/** A lock file is touched this often while we write. */
const TOUCH_MS = 60_000;

/** Without waiting for the reader of a FIFO, should it be one. */
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;

export interface MboxDelivery {
  /** What reports call the mbox: as it stands in the .qmail file. */
  readonly name: string;
  /** The From_ line and what follows it. */
  readonly head: string;
  readonly message: Message;
}

interface Waiting extends MboxDelivery {
  resolve(): void;
  reject(failure: DeliveryFailure): void;
}

/** The mboxes that one process delivers to. */
export class Mboxes {
  /** Who waits for an mbox that is at work. */
  readonly #waiting = new Map<string, Waiting[]>();

  /** Appends `delivery.message` to the mbox `path`, a byte string. Rejects with DeliveryFailure. */
  deliver(path: string, delivery: MboxDelivery): Promise<void> {
    return new Promise((resolve, reject) => {
      const entry = { ...delivery, resolve, reject };
      const waiting = this.#waiting.get(path);
      if (waiting) {
        waiting.push(entry);
      } else {
        this.#waiting.set(path, [entry]);
        void this.#serve(path);
      }
    });
  }

  async #serve(path: string): Promise<void> {
    const waiting = this.#waiting.get(path) ?? [];
    while (waiting.length > 0) await deliverBatch(path, waiting.splice(0, BATCH_MAX));
    this.#waiting.delete(path);
  }
}

/** Settles every entry of `batch`. Never rejects. */
async function deliverBatch(path: string, batch: readonly Waiting[]): Promise<void> {
  const refuse = (failed: readonly Waiting[], failure: (name: string) => DeliveryFailure) => {
    for (const { name, reject } of failed) reject(failure(name));
  };
  let fd: number;
  try {
    fd = openSync(fsPath(path), APPEND, 0o600);
  } catch (error) {
    const why = systemText(error);
    refuse(batch, (name) => unopened(name, why));
    return;
  }
  let locks: Locks | null = null;
  let replaced = false;
  try {
    locks = await Locks.take(path, fd);
    replaced = isReplaced(path, fd);
    if (!replaced) await new Mbox(path, fd, locks).append(batch);
  } catch (error) {
    const why = error instanceof LockBusyError ? SLOW_LOCK : trouble(error);
    refuse(batch, () => temporary(why));
  } finally {
    locks?.release();
    closeSync(fd);
  }
  if (replaced) await deliverBatch(path, batch);
}

/** Whether who had the lock has put another file in the place of the one that we opened, as maildir2mbox does. */
function isReplaced(path: string, fd: number): boolean {
  const now = statSync(fsPath(path), { throwIfNoEntry: false });
  return now?.ino !== fstatSync(fd).ino;
}

const SLOW_LOCK = "File has been locked for 30 seconds straight. (#4.3.0)\n";

function trouble(error: unknown): string {
  return `Unable to lock: ${systemText(error)}. (#4.3.0)\n`;
}

function unopened(name: string, why: string): DeliveryFailure {
  return temporary(`Unable to open ${name}: ${why}. (#4.2.1)\n`);
}

/** Why nobody as whom this process runs can append to the mbox `path`, called `name`; null when nothing is in the way. */
export function mboxTrouble(path: string, name: string): DeliveryFailure | null {
  try {
    const there = statSync(fsPath(path), { throwIfNoEntry: false });
    if (there) accessSync(fsPath(path), constants.W_OK);
    else accessSync(fsPath(dirname(path)), constants.W_OK | constants.X_OK);
    // Only opening it says what the system makes of a directory, or a device without a driver.
    if (there?.isDirectory()) closeSync(openSync(fsPath(path), APPEND));
    return null;
  } catch (error) {
    return unopened(name, systemText(error));
  }
}

/** Both locks, or what of them can be had. */
class Locks {
  readonly #file: DotLock | null;
  readonly #flock: boolean;
  #touched = Date.now();

  private constructor(file: DotLock | null, flock: boolean) {
    this.#file = file;
    this.#flock = flock;
  }

  /** Rejects with LockBusyError. The flock ends when `fd` is closed. */
  static async take(path: string, fd: number): Promise<Locks> {
    const until = Date.now() + LOCK_SECONDS * 1000;
    const file = await DotLock.take(path, LOCK_SECONDS);
    try {
      const left = Math.max(1, Math.ceil((until - Date.now()) / 1000));
      return new Locks(file, await flock(fd, left));
    } catch (error) {
      file?.release();
      throw error;
    }
  }

  /** Whether nobody else is in the file, so that it may be cut back. */
  get held(): boolean {
    return this.#file !== null || this.#flock;
  }

  touch(): void {
    if (Date.now() - this.#touched < TOUCH_MS) return;
    this.#touched = Date.now();
    this.#file?.touch();
  }

  release(): void {
    this.#file?.release();
  }
}

/** False when the filesystem has no locks: then, as with qmail, the delivery is made all the same. */
async function flock(fd: number, seconds: number): Promise<boolean> {
  try {
    await lockWaiting(fd, seconds);
    return true;
  } catch (error) {
    if (error instanceof LockBusyError) throw error;
    return false;
  }
}

/** An mbox that is open and locked. */
class Mbox {
  readonly #path: string;
  readonly #fd: number;
  readonly #locks: Locks;

  constructor(path: string, fd: number, locks: Locks) {
    this.#path = path;
    this.#fd = fd;
    this.#locks = locks;
  }

  /** Settles every entry of `batch`, in their order. */
  async append(batch: readonly Waiting[]): Promise<void> {
    const start = fstatSync(this.#fd).size;
    const written: Waiting[] = [];
    for (const entry of batch) {
      const before = fstatSync(this.#fd).size;
      try {
        await this.#write(entry);
        written.push(entry);
      } catch (error) {
        this.#cutBack(before);
        entry.reject(writeFailure(entry.name, error));
      }
    }
    try {
      if (written.length > 0) await synced(this.#fd);
      // A file without its name is lost: not every filesystem syncs both.
      if (written.length > 0 && start === 0) this.#syncName();
      for (const { resolve } of written) resolve();
    } catch (error) {
      this.#cutBack(start);
      for (const { name, reject } of written) reject(writeFailure(name, error));
    }
  }

  async #write({ head, message }: MboxDelivery): Promise<void> {
    const quote = new FromQuoter();
    writeWhole(this.#fd, Buffer.from(this.#unfinished() + head, "latin1"));
    for await (const chunk of message.chunks()) {
      for (const part of quote.push(chunk)) writeWhole(this.#fd, part);
      this.#locks.touch();
    }
    for (const part of quote.end()) writeWhole(this.#fd, part);
  }

  /** A directory that we may write but not read cannot be synced: there the file's own sync has to do. */
  #syncName(): void {
    if (!fstatSync(this.#fd).isFile()) return;
    try {
      syncDirectory(fsPath(dirname(this.#path)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EACCES") throw error;
    }
  }

  /** What ends an entry that a crash cut off: behind anything but an empty line From_ begins no message. */
  #unfinished(): string {
    const stat = fstatSync(this.#fd);
    if (!stat.isFile() || stat.size === 0) return "";
    let fd: number;
    try {
      fd = openSync(fsPath(this.#path), "r");
    } catch {
      return "";
    }
    try {
      const end = Buffer.alloc(2);
      const read = readSync(fd, end, 0, 2, Math.max(0, stat.size - 2));
      if (end[read - 1] !== NEWLINE) return "\n\n";
      return end[0] === NEWLINE ? "" : "\n";
    } finally {
      closeSync(fd);
    }
  }

  #cutBack(size: number): void {
    if (!this.#locks.held) return;
    try {
      ftruncateSync(this.#fd, size);
    } catch {
      // The report says what went wrong first.
    }
  }
}

const NEWLINE = 10;

function writeFailure(name: string, error: unknown): DeliveryFailure {
  if (error instanceof DeliveryFailure) return error;
  return temporary(`Unable to write ${name}: ${systemText(error)}. (#4.3.0)\n`);
}

function synced(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fsync(fd, (error) => (error ? reject(error) : resolve()));
  });
}

function writeWhole(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}
