/**
 * Who was answered, and when: a directory with an empty file for each, whose name is the address and whose
 * mtime the time. Two messages at once need no lock: only one of them can make the file.
 */

import { createHash } from "node:crypto";
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  statSync,
  unlinkSync,
  utimesSync,
} from "node:fs";
import { join } from "node:path";
import { lowerAscii } from "../control/constmap.ts";

/** No more are remembered, and no more are answered: forged senders are not to fill a disk. */
const ANSWERED_MAX = 10_000;

export class Answered {
  readonly #directory: string;

  /** Made when it is not there. Throws the system's error. */
  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /**
   * Notes that `address` is answered at `now`; false when it was less than `interval` ago, or when there are
   * too many. Milliseconds. Throws the system's error.
   */
  note(address: string, now: number, interval: number): boolean {
    const path = this.#path(address);
    if (this.#forget(now, interval) >= ANSWERED_MAX) return false;
    try {
      closeSync(openSync(path, "wx", 0o600));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
      throw error;
    }
    utimesSync(path, now / 1000, now / 1000);
    return true;
  }

  /** The answer could not be sent. */
  takeBack(address: string): void {
    unlinkSync(this.#path(address));
  }

  /** Forgets all. */
  clear(): void {
    for (const name of readdirSync(this.#directory)) unlinkSync(join(this.#directory, name));
  }

  /** Removes who may be answered again; returns how many are left. */
  #forget(now: number, interval: number): number {
    let left = 0;
    for (const name of readdirSync(this.#directory)) {
      const path = join(this.#directory, name);
      const stat = statSync(path, { throwIfNoEntry: false });
      if (!stat) continue;
      if (now - stat.mtimeMs < interval) left++;
      else unlinkIfThere(path);
    }
    return left;
  }

  #path(address: string): string {
    return join(this.#directory, nameOf(lowerAscii(address)));
  }
}

/** `address` as a file name that a person can read, made one of its kind by its digest. */
function nameOf(address: string): string {
  const digest = createHash("sha256").update(address, "latin1").digest("hex").slice(0, 32);
  return `${address.replace(/[^a-z0-9@.=+-]/g, "_").slice(0, 150)},${digest}`;
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
