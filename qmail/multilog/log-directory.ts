/**
 * A directory of log files as multilog keeps it: `current`, and `@STAMP.s` for what is finished. The
 * mode of `current` tells whether it was closed in order (0744) or is open, or was left by a crash (0644).
 */

import {
  chmodSync,
  closeSync,
  fstatSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { formatTai64n } from "./tai64n.ts";

export interface LogLimits {
  /** Bytes after which `current` is finished. */
  readonly size: number;
  /** Files kept, `current` among them. */
  readonly files: number;
}

export const DEFAULT_LIMITS: LogLimits = { size: 4 << 20, files: 10 };

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

  /** Writes whole lines; `now` in milliseconds names a finished file. */
  write(lines: Buffer, now: number): void {
    if (this.#size > 0 && this.#size + lines.length > this.#limits.size) this.#rotate(now);
    for (let at = 0; at < lines.length; ) at += writeSync(this.#fd, lines, at);
    this.#size += lines.length;
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
    renameSync(`${this.#path}/current`, `${this.#path}/${formatTai64n(now)}.s`);
    const finished = readdirSync(this.#path)
      .filter((name) => FINISHED.test(name))
      .sort();
    for (const name of finished.slice(0, Math.max(0, finished.length - this.#limits.files + 1))) {
      unlinkSync(`${this.#path}/${name}`);
    }
    this.#fd = this.#open();
    this.#size = 0;
  }
}
