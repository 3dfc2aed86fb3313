/**
 * Delivery to an mbox (mbox(5)): under its locks.
 *
 * Both locks are taken that programs go by: flock(2), as qmail does, and a lock file `mbox.lock`, as
 * Debian policy 11.6 asks for (procmail, maildrop, mutt, liblockfile; those that ask the kernel first, by
 * fcntl, make the lock file all the same). Where no lock file can be made, as in /var/mail for who is not
 * in its group, flock has to do.
 *
 * Taking flock costs a process. So who finds the mbox at work waits, and all who wait are written under
 * one pair of locks and one sync; there is one wait for the locks, and everybody has patience of his own.
 */

import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  statSync,
} from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fsPath } from "../files/bytes.ts";
import { LockBusyError } from "../files/lock.ts";
import type { Machine } from "../files/lock-file.ts";
import { type DeliveryFailure, systemText, temporary } from "./failure.ts";
import { Mbox, type MboxDelivery, type MboxEntry, writeFailure } from "./mbox-file.ts";
import { Locks } from "./mbox-locks.ts";

const PATIENCE_MS = 30_000;
/** Patience when we are to leave. */
const LEAVING_MS = 2000;
/** Who waits longer says so. */
const SHORT_MS = 50;
/** Others get their turn at the locks meanwhile. */
const PAUSE_MS = 2000;
/** So many messages are written before others get their turn at the locks. */
const BATCH_MAX = 100;

/** Without waiting for the reader of a FIFO, should it be one. */
const OPEN = constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK;
const CREATE = OPEN | constants.O_CREAT;

/** Called with true when a delivery begins to wait for others, and with false when it goes on. */
export type Waits = (waits: boolean) => void;

export interface MboxesOptions {
  readonly machine: Machine;
  /** So long a lock is waited for, in milliseconds. */
  readonly patienceMs?: number;
}

/** The mboxes that one process delivers to. */
export class Mboxes {
  readonly #options: MboxesOptions;
  readonly #waiters = new Map<string, Waiters>();
  #leaving = false;

  constructor(options: MboxesOptions) {
    this.#options = options;
  }

  /** Appends `delivery.message` to the mbox `path`, a byte string. Rejects with DeliveryFailure. */
  deliver(path: string, delivery: MboxDelivery, { waits }: { waits?: Waits } = {}): Promise<void> {
    return this.#join(path, delivery, waits);
  }

  /** Resolves when the locks of the mbox `path` can be had, as far as can be seen. Rejects with DeliveryFailure when not. */
  look(path: string, { waits }: { waits?: Waits } = {}): Promise<void> {
    return this.#join(path, null, waits);
  }

  /** Nobody waits for a lock any more, now and from here on. */
  leave(): void {
    this.#leaving = true;
    for (const waiters of this.#waiters.values()) waiters.leave();
  }

  #join(path: string, delivery: MboxDelivery | null, waits?: Waits): Promise<void> {
    let waiters = this.#waiters.get(path);
    const begin = waiters === undefined;
    waiters ??= new Waiters(path, this.#options);
    if (this.#leaving) waiters.leave();
    const joined = waiters.join(delivery, waits);
    if (begin) {
      this.#waiters.set(path, waiters);
      void this.#serve(path, waiters);
    }
    return joined;
  }

  async #serve(path: string, waiters: Waiters): Promise<void> {
    while (waiters.size > 0) await waiters.round();
    this.#waiters.delete(path);
  }
}

interface Waiter extends Omit<MboxEntry, "delivery"> {
  /** Null for who only looks. */
  readonly delivery: MboxDelivery | null;
  readonly since: number;
  readonly waits: Waits | undefined;
  /** What was said last. */
  said: boolean;
}

/** All who wait for one mbox, in their order. */
class Waiters {
  readonly #path: string;
  readonly #machine: Machine;
  readonly #all = new Set<Waiter>();
  #patienceMs: number;
  #leaving = false;
  /** Since when the locks are waited for, unless who waits came later. */
  #since = performance.now();
  /** Ends the wait for the locks. */
  #giveUp: AbortController | null = null;
  #long = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(path: string, { machine, patienceMs = PATIENCE_MS }: MboxesOptions) {
    this.#path = path;
    this.#machine = machine;
    this.#patienceMs = patienceMs;
  }

  get size(): number {
    return this.#all.size;
  }

  join(delivery: MboxDelivery | null, waits?: Waits): Promise<void> {
    return new Promise((resolve, reject) => {
      const since = performance.now();
      const waiter = { delivery, since, waits, said: false, resolve, reject };
      this.#all.add(waiter);
      if (this.#long) say(waiter, true);
    });
  }

  leave(): void {
    this.#leaving = true;
    this.#patienceMs = Math.min(this.#patienceMs, LEAVING_MS);
    if (this.#giveUp) this.#expire();
  }

  /** Takes the locks once and serves who is there then. Never rejects. */
  async round(): Promise<void> {
    const fd = this.#open();
    if (fd === undefined) return;
    let locks: Locks | null = null;
    try {
      locks = await this.#lock(fd);
      if (locks && !(fd !== null && isReplaced(this.#path, fd))) await this.#serve(fd, locks);
    } catch (error) {
      this.#fail([...this.#all], () => trouble(error));
    } finally {
      locks?.release();
      if (fd !== null) close(fd);
      this.#since = performance.now();
    }
  }

  /** Null: it cannot be opened, and nobody wants to write to it. Undefined: it cannot be opened, and all know. */
  #open(): number | null | undefined {
    const writers = [...this.#all].filter(({ delivery }) => delivery !== null);
    try {
      return openSync(fsPath(this.#path), writers.length > 0 ? CREATE : OPEN, 0o600);
    } catch (error) {
      if (writers.length === 0) return null;
      const why = systemText(error);
      this.#fail(writers, ({ name }) => unopened(name, why));
      return undefined;
    }
  }

  /** Null when nobody is left who waits for the locks. */
  async #lock(fd: number | null): Promise<Locks | null> {
    const giveUp = new AbortController();
    this.#giveUp = giveUp;
    const short = setTimeout(() => this.#waitLong(), SHORT_MS);
    this.#expire();
    try {
      return await this.#lockUntil(fd, giveUp.signal);
    } finally {
      clearTimeout(short);
      clearTimeout(this.#timer);
      this.#giveUp = null;
      this.#long = false;
    }
  }

  async #lockUntil(fd: number | null, signal: AbortSignal): Promise<Locks | null> {
    while (!signal.aborted) {
      try {
        return await Locks.take(this.#path, fd, { machine: this.#machine, signal });
      } catch (error) {
        if (!(error instanceof LockBusyError)) throw error;
      }
      await sleep(PAUSE_MS, undefined, { signal }).catch(() => {});
    }
    return null;
  }

  #waitLong(): void {
    this.#long = true;
    for (const waiter of this.#all) say(waiter, true);
  }

  /** Refuses who has waited long enough, and looks again when the next will have. */
  #expire(): void {
    const now = performance.now();
    const end = ({ since }: Waiter) => Math.max(since, this.#since) + this.#patienceMs;
    for (const waiter of this.#all) if (end(waiter) <= now) this.#refuse(waiter);
    clearTimeout(this.#timer);
    const [first] = this.#all;
    if (first) this.#timer = setTimeout(() => this.#expire(), end(first) - now + 1);
    else this.#giveUp?.abort();
  }

  #refuse(waiter: Waiter): void {
    this.#all.delete(waiter);
    waiter.reject(temporary(this.#leaving ? LEAVING : SLOW_LOCK));
  }

  /** Who looks has seen enough; the others are written, some at once. */
  async #serve(fd: number | null, locks: Locks): Promise<void> {
    const batch: MboxEntry[] = [];
    for (const waiter of this.#all) {
      const { delivery, resolve, reject } = waiter;
      if (delivery !== null && (fd === null || batch.length >= BATCH_MAX)) continue;
      this.#all.delete(waiter);
      say(waiter, false);
      if (delivery === null) resolve();
      else batch.push({ delivery, resolve, reject });
    }
    try {
      if (fd !== null && batch.length > 0) await new Mbox(this.#path, fd, locks).append(batch);
    } catch (error) {
      for (const { reject } of batch) reject(trouble(error));
    }
  }

  /** What is wrong with the file itself is not the affair of who only looks. */
  #fail(waiters: readonly Waiter[], failure: (delivery: MboxDelivery) => DeliveryFailure): void {
    for (const waiter of waiters) {
      this.#all.delete(waiter);
      if (waiter.delivery === null) waiter.resolve();
      else waiter.reject(failure(waiter.delivery));
    }
  }
}

function say(waiter: Waiter, waits: boolean): void {
  if (waiter.said === waits) return;
  waiter.said = waits;
  waiter.waits?.(waits);
}

const SLOW_LOCK = "File has been locked for 30 seconds straight. (#4.3.0)\n";
const LEAVING = "File is locked, and the mail system is being stopped. (#4.3.0)\n";

/** Whether who had the lock has put another file in the place of the one that we opened, as maildir2mbox does. */
function isReplaced(path: string, fd: number): boolean {
  const now = statSync(fsPath(path), { throwIfNoEntry: false });
  return now?.ino !== fstatSync(fd).ino;
}

/** What NFS may say here was said by the sync, or is of no concern. */
function close(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // The descriptor is gone all the same.
  }
}

function trouble(error: unknown): DeliveryFailure {
  return temporary(`Unable to lock: ${systemText(error)}. (#4.3.0)\n`);
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
    return there && !there.isFile() ? oddTrouble(path, { name, isFifo: there.isFIFO() }) : null;
  } catch (error) {
    return unopened(name, systemText(error));
  }
}

/**
 * The trouble with what is no plain file, if any: only opening it says what the system makes of a directory or a device without a
 * driver, and only a sync what it makes of others, as /dev/null. A FIFO is not opened, since its reader would notice.
 */
function oddTrouble(
  path: string,
  { name, isFifo }: { name: string; isFifo: boolean },
): DeliveryFailure | null {
  if (isFifo) return writeFailure(name, { code: "EINVAL" });
  const fd = openSync(fsPath(path), CREATE);
  try {
    fsyncSync(fd);
    return null;
  } catch (error) {
    return writeFailure(name, error);
  } finally {
    closeSync(fd);
  }
}
