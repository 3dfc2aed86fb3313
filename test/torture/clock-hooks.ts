/**
 * A clock that jumps, for all processes of a site alike: Date shows what a file says.
 *
 * The file is a list of jumps: a line "WHEN OFFSET" each, both in milliseconds, WHEN by the real clock. What
 * the kernel stamped between two jumps shows the offset of then. Times that a program has set stay; a bit in the
 * mode of such a file, which nobody else is shown, remembers that.
 */

import fs from "node:fs";

/** How soon a jump is seen. */
const LOOK_MS = 50;
/** Of a file whose times were set by a program: the sticky bit, which means nothing for a file. */
const SET = 0o1000;

interface Jump {
  readonly when: number;
  readonly offset: number;
}

const realNow = Date.now;
const { chmodSync, fchmodSync, fstatSync, readFileSync, statSync } = fs;

/** The jumps in the file `path`, oldest first. */
function readJumps(path: string): Jump[] {
  return readFileSync(path, "latin1")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [when = 0, offset = 0] = line.split(" ").map(Number);
      return { when, offset };
    });
}

/** Has this process see the jumps in the file `path`. */
export function hookClock(path: string): void {
  let jumps = readJumps(path);
  let size = statSync(path).size;
  setInterval(() => {
    const now = statSync(path, { throwIfNoEntry: false })?.size ?? size;
    if (now !== size) jumps = readJumps(path);
    size = now;
  }, LOOK_MS).unref();
  const offsetAt = (when: number) => jumps.findLast((jump) => jump.when <= when)?.offset ?? 0;
  hookDate(() => jumps.at(-1)?.offset ?? 0);
  hookStats(offsetAt);
}

function hookDate(offset: () => number): void {
  const Real = Date;
  class Shown extends Real {
    constructor(...args: []) {
      if (args.length === 0) super(realNow() + offset());
      else super(...args);
    }
    static override now(): number {
      return realNow() + offset();
    }
  }
  globalThis.Date = Shown as DateConstructor;
}

/** A Stats or BigIntStats, whose fields may be written. */
type Times = Record<string, number | bigint | Date> & fs.Stats;

function hookStats(offsetAt: (when: number) => number): void {
  // biome-ignore lint/suspicious/noExplicitAny: functions of node:fs, called with what they were called with
  const table = fs as unknown as Record<string, (...args: any[]) => unknown>;
  const shown = (stats: unknown) => {
    if (typeof stats === "object" && stats !== null) show(stats as Times, offsetAt);
    return stats;
  };
  for (const name of ["stat", "lstat", "fstat"]) {
    const sync = table[`${name}Sync`];
    const callback = table[name];
    if (sync) table[`${name}Sync`] = (...args) => shown(sync(...args));
    if (callback) {
      table[name] = (...args) => {
        const done = args.pop();
        return callback(...args, (error: unknown, stats: unknown) => done(error, shown(stats)));
      };
    }
  }
  const { utimesSync, futimesSync } = fs;
  table.utimesSync = (path, atime, mtime) => {
    utimesSync(path, atime, mtime);
    chmodSync(path, (statSync(path).mode & 0o777) | SET);
  };
  table.futimesSync = (fd, atime, mtime) => {
    futimesSync(fd, atime, mtime);
    fchmodSync(fd, (fstatSync(fd).mode & 0o777) | SET);
  };
}

function show(stats: Times, offsetAt: (when: number) => number): void {
  const mode = Number(stats.mode);
  const set = stats.isFile() && (mode & SET) !== 0;
  // Both are set at once; only what has been read since has another.
  const read = stats.atimeMs !== stats.mtimeMs;
  if (!set || read) shift(stats, "atime", offsetAt);
  if (!set) shift(stats, "mtime", offsetAt);
  shift(stats, "ctime", offsetAt);
  shift(stats, "birthtime", offsetAt);
  if (set && typeof stats.mode === "number") stats.mode &= ~SET;
}

function shift(times: Times, name: string, offsetAt: (when: number) => number): void {
  const field = `${name}Ms`;
  const nanoseconds = `${name}Ns`;
  const ms = times[field];
  if (typeof ms === "bigint") {
    const offset = BigInt(offsetAt(Number(ms)));
    times[field] = ms + offset;
    times[nanoseconds] = (times[nanoseconds] as bigint) + offset * 1_000_000n;
    times[name] = new Date(Number(ms + offset));
  } else if (typeof ms === "number") {
    const offset = offsetAt(ms);
    times[field] = ms + offset;
    times[name] = new Date(ms + offset);
  }
}
