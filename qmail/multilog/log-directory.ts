/**
 * A directory of log files as multilog keeps it: `current`, and `@STAMP.s` for what is finished. The
 * mode of `current` tells whether it was closed in order (0744) or is open, or was left by a crash (0644).
 */

import {
  chmodSync,
  closeSync,
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

/** No descriptor: the file is closed. */
const CLOSED = -1;

const FINISHED = /^@[0-9a-f]{24}\.[su]$/;

export class LogDirectory {
  readonly #path: string;
  readonly #limits: LogLimits;
  #fd: number;
  #size: number;

  /** Opens `path`/current and goes on writing it. Throws when that cannot be done. */
  constructor(path: string, limits: LogLimits = DEFAULT_LIMITS) {
    this.#path = path;
    this.#limits = limits;
    this.#fd = this.#open();
    this.#size = fstatSync(this.#fd).size;
  }

  /** Writes whole lines, or none of them and throws; `now` in milliseconds names a finished file. */
  write(lines: Buffer, now: number): void {
    if (this.#size > 0 && this.#size + lines.length > this.#limits.size) this.#rotate(now);
    try {
      for (let at = 0; at < lines.length; ) at += writeSync(this.#fd, lines, at);
    } catch (error) {
      // Half a line would become one with the next.
      ftruncateSync(this.#fd, this.#size);
      throw error;
    }
    this.#size += lines.length;
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
    fsyncSync(this.#fd);
    chmodSync(`${this.#path}/current`, 0o744);
    closeSync(this.#fd);
  }

  #open(): number {
    const path = `${this.#path}/current`;
    const fd = openSync(path, "a", 0o644);
    chmodSync(path, 0o644);
    return fd;
  }

  #rotate(now: number): void {
    this.close();
    this.#fd = CLOSED;
    const finished = readdirSync(this.#path)
      .filter((name) => FINISHED.test(name))
      .sort();
    const name = `${stampAfter(finished.at(-1), now)}.s`;
    renameSync(`${this.#path}/current`, `${this.#path}/${name}`);
    for (const old of [...finished, name].slice(0, -(this.#limits.files - 1))) {
      unlinkSync(`${this.#path}/${old}`);
    }
    this.#fd = this.#open();
    this.#size = 0;
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
