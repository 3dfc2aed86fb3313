/**
 * A directory of log files as multilog keeps it: `current`, and `@STAMP.s` for what is finished. The
 * mode of `current` tells whether it was closed in order (0744) or is open, or was left by a crash (0644).
 */

import {
  chmodSync,
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { formatTai64n, STAMP_LENGTH } from "./tai64n.ts";

export interface LogLimits {
  /** Bytes after which `current` is finished. */
  readonly size: number;
  /** Files kept, `current` among them. */
  readonly files: number;
}

export const DEFAULT_LIMITS: LogLimits = { size: 4 << 20, files: 10 };

const NEWLINE = 10;

/** No descriptor: the file is closed. */
const CLOSED = -1;

const FINISHED = /^@[0-9a-f]{24}\.[su]$/;

/** Makes the file `made` out of `previous` beside it (multilog's `!`). */
type Process = (made: string) => void;

export class LogDirectory {
  readonly #path: string;
  readonly #limits: LogLimits;
  readonly #process: Process | null;
  #fd = CLOSED;
  #size = 0;
  /** Of the bytes last given to `write` so many are written, also when it has thrown. */
  taken = 0;

  /** Opens `path`/current and goes on writing it. Throws when that cannot be done. */
  constructor(
    path: string,
    limits: LogLimits = DEFAULT_LIMITS,
    { process = null }: { process?: Process | null } = {},
  ) {
    this.#path = path;
    this.#limits = limits;
    this.#process = process;
    this.#begin(Date.now());
  }

  /**
   * Writes `lines`, whole; `now` in milliseconds names finished files. A file gets as many whole lines as it may hold, and of a line that
   * is longer than any may be a part. Throws when something cannot be written: `taken` says how far it came.
   */
  write(lines: Buffer, now: number): void {
    this.taken = 0;
    if (this.#fd === CLOSED) this.#begin(now);
    while (this.taken < lines.length) {
      const end = this.#fitting(lines);
      if (end === this.taken) this.#rotate(now);
      else this.#append(lines.subarray(this.taken, end));
    }
  }

  /** Finishes `current` although it is not full, unless it is empty. */
  finish(now: number): void {
    if (this.#fd === CLOSED) this.#begin(now);
    if (this.#size > 0) this.#rotate(now);
  }

  /** Closes the file after trouble, and leaves it as after a crash. */
  abandon(): void {
    try {
      closeSync(this.#fd);
    } catch {
      // The trouble came when it was closed already.
    }
  }

  close(): void {
    if (this.#fd === CLOSED) return;
    fsyncSync(this.#fd);
    chmodSync(`${this.#path}/current`, 0o744);
    closeSync(this.#fd);
    this.#fd = CLOSED;
  }

  /** How far `lines` go into `current`: to the end of a line, or, in an empty file, of what it may hold. */
  #fitting(lines: Buffer): number {
    const room = Math.max(this.#limits.size - this.#size, 0);
    if (lines.length - this.taken <= room) return lines.length;
    const end = lines.subarray(this.taken, this.taken + room).lastIndexOf(NEWLINE) + 1;
    if (end > 0) return this.taken + end;
    return this.#size > 0 ? this.taken : this.taken + room;
  }

  #append(part: Buffer): void {
    try {
      for (let at = 0; at < part.length; ) at += writeSync(this.#fd, part, at);
    } catch (error) {
      // Half a line would become one with the next.
      ftruncateSync(this.#fd, this.#size);
      throw error;
    }
    this.#size += part.length;
    this.taken += part.length;
  }

  #begin(now: number): void {
    // Left by a processor that did not succeed, or by the end of the one who had it run.
    if (existsSync(`${this.#path}/previous`)) this.#finishPrevious(now);
    const path = `${this.#path}/current`;
    this.#fd = openSync(path, "a", 0o644);
    this.#size = fstatSync(this.#fd).size;
    chmodSync(path, 0o644);
  }

  #rotate(now: number): void {
    this.close();
    if (this.#process === null) this.#putAway("current", now);
    else {
      renameSync(`${this.#path}/current`, `${this.#path}/previous`);
      this.#finishPrevious(now);
    }
    this.#begin(now);
  }

  #finishPrevious(now: number): void {
    if (this.#process === null) {
      this.#putAway("previous", now);
      return;
    }
    const processed = `${this.#path}/processed`;
    this.#process(processed);
    chmodSync(processed, 0o744);
    unlinkSync(`${this.#path}/previous`);
    this.#putAway("processed", now);
  }

  /** Gives the file `name` the name of a finished one, and removes the oldest. */
  #putAway(name: string, now: number): void {
    const finished = readdirSync(this.#path)
      .filter((each) => FINISHED.test(each))
      .sort();
    const stamped = `${stampAfter(finished.at(-1), now)}.s`;
    renameSync(`${this.#path}/${name}`, `${this.#path}/${stamped}`);
    for (const old of [...finished, stamped].slice(0, -(this.#limits.files - 1))) {
      unlinkSync(`${this.#path}/${old}`);
    }
  }
}

/**
 * The stamp of `now`, or the one behind the newest file's when that is later. Names are the order of the files: when the
 * clock has gone back the file just finished would be the first to go, and one of the same millisecond would be written over.
 */
function stampAfter(newest: string | undefined, now: number): string {
  const stamp = formatTai64n(now);
  if (newest === undefined || newest.slice(0, STAMP_LENGTH) < stamp) return stamp;
  const seconds = BigInt(`0x${newest.slice(1, 17)}`);
  const nanoseconds = Number.parseInt(newest.slice(17, STAMP_LENGTH), 16) + 1;
  const full = nanoseconds >= 1e9;
  const hex = (value: bigint | number, length: number) => value.toString(16).padStart(length, "0");
  return `@${hex(full ? seconds + 1n : seconds, 16)}${hex(full ? 0 : nanoseconds, 8)}`;
}
