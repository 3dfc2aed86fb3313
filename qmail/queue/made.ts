/**
 * MADE: which message a number means. The filesystem gives an inode number again at once, so a number
 * alone is nobody's name; a number and the time at which its mess file was made, in microseconds, are
 * (INTERNALS.md, "A number is one message's").
 *
 * The kernel's own times are not enough: they move in steps of up to ten milliseconds, and a message that
 * was delivered straight may leave its number to the next one within one of these. So qmail-queue sets
 * the mtime of each mess file itself, each to a microsecond of its own.
 */

import { closeSync, fstatSync, futimesSync, openSync, type Stats, unlinkSync } from "node:fs";

/** Of a mess file that was made by another's qmail-queue: so long a step of the clock of files may be, in milliseconds. */
const TICK_MS = 20;
/** The same where a filesystem keeps seconds only. */
const COARSE_TICK_MS = 2000;

/** MADE of a mess file, from what stat(2) or fstat(2) says of it. */
export function madeOf({ mtimeMs }: Pick<Stats, "mtimeMs">): number {
  return Math.round(mtimeMs * 1000);
}

/** Gives the open mess file its MADE. Throws the system's error. */
export function setMade(fd: number, made: number): void {
  // A double holds the microseconds of a time in seconds until the year 2242.
  futimesSync(fd, made / 1e6, made / 1e6);
}

/** Times in microseconds since 1970, none given twice, whatever the clock does. */
export class MadeClock {
  readonly #now: () => number;
  #last = 0;

  /** `now` in milliseconds since 1970. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  next(): number {
    this.#last = Math.max(this.#last + 1, Math.round(this.#now() * 1000));
    return this.#last;
  }
}

/**
 * How long a number stays taken after its mess file was made, in milliseconds: so two files with one number never
 * have one MADE, whoever made them. `queue` is the queue directory, `clock` for a name and a time of its own.
 */
export function madeTick(queue: string, clock: MadeClock): number {
  const made = clock.next();
  const path = `${queue}/pid/${process.pid}.${made}.tick`;
  const fd = openSync(path, "wx", 0o600);
  try {
    unlinkSync(path);
    setMade(fd, made);
    return madeOf(fstatSync(fd)) === made ? TICK_MS : COARSE_TICK_MS;
  } finally {
    closeSync(fd);
  }
}
