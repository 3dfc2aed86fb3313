/** The mbox itself: entries are appended, From_ quoted, and cut back to where it was when that fails. */

import { closeSync, fstatSync, fsync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { syncDirectory } from "../files/atomic.ts";
import { fsPath } from "../files/bytes.ts";
import type { Message } from "../spawn/message.ts";
import { DeliveryFailure, systemText, temporary } from "./failure.ts";
import { FromQuoter } from "./from-quoter.ts";
import type { Locks } from "./mbox-locks.ts";

export interface MboxDelivery {
  /** What reports call the mbox: as it stands in the .qmail file. */
  readonly name: string;
  /** The From_ line and what follows it. */
  readonly head: string;
  readonly message: Message;
}

/** A delivery, and who is told what became of it. */
export interface MboxEntry {
  readonly delivery: MboxDelivery;
  resolve(): void;
  reject(failure: DeliveryFailure): void;
}

/** An mbox that is open and locked. */
export class Mbox {
  readonly #path: string;
  readonly #fd: number;
  readonly #locks: Locks;

  constructor(path: string, fd: number, locks: Locks) {
    this.#path = path;
    this.#fd = fd;
    this.#locks = locks;
  }

  /** Settles every entry of `batch`, in their order. */
  async append(batch: readonly MboxEntry[]): Promise<void> {
    const start = fstatSync(this.#fd).size;
    const written: MboxEntry[] = [];
    for (const entry of batch) {
      const before = fstatSync(this.#fd).size;
      try {
        await this.#write(entry.delivery);
        written.push(entry);
      } catch (error) {
        this.#cutBack(before);
        entry.reject(writeFailure(entry.delivery.name, error));
      }
    }
    try {
      if (written.length > 0) await synced(this.#fd);
      // A file without its name is lost: not every filesystem syncs both.
      if (written.length > 0 && start === 0) this.#syncName();
      for (const { resolve } of written) resolve();
    } catch (error) {
      this.#cutBack(start);
      for (const { delivery, reject } of written) reject(writeFailure(delivery.name, error));
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

/** The report of a mailbox `name` that cannot be written. */
export function writeFailure(name: string, error: unknown): DeliveryFailure {
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
