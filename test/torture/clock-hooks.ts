/**
 * A clock that jumps, for all processes of a site alike: Date shows what a file says.
 *
 * The file is a list of jumps: a line "WHEN OFFSET" each, both in milliseconds, WHEN by the real clock. What
 * the kernel stamped between two jumps shows the offset of then. Times that a program has set are whole
 * seconds here, which the kernel's hardly ever are, and stay.
 */

import fs from "node:fs";

/** How soon a jump is seen. */
const LOOK_MS = 50;
const KERNEL_TIMES = ["atime", "mtime", "ctime", "birthtime"] as const;

interface Jump {
  readonly when: number;
  readonly offset: number;
}

const realNow = Date.now;
const { readFileSync, statSync } = fs;

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
type Times = Record<string, number | bigint | Date>;

function hookStats(offsetAt: (when: number) => number): void {
  const shown = (stats: unknown) => {
    if (typeof stats !== "object" || stats === null) return stats;
    const times = stats as Times;
    for (const name of KERNEL_TIMES) shift(times, name, offsetAt);
    return stats;
  };
  // biome-ignore lint/suspicious/noExplicitAny: functions of node:fs, called with what they were called with
  const table = fs as unknown as Record<string, (...args: any[]) => unknown>;
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
}

function shift(times: Times, name: string, offsetAt: (when: number) => number): void {
  const field = `${name}Ms`;
  const nanoseconds = `${name}Ns`;
  const ms = times[field];
  if (typeof ms === "bigint") {
    const ns = times[nanoseconds] as bigint;
    if (ns % 1_000_000_000n === 0n) return;
    const offset = BigInt(offsetAt(Number(ms)));
    times[field] = ms + offset;
    times[nanoseconds] = ns + offset * 1_000_000n;
    times[name] = new Date(Number(ms + offset));
  } else if (typeof ms === "number" && ms % 1000 !== 0) {
    const offset = offsetAt(ms);
    times[field] = ms + offset;
    times[name] = new Date(ms + offset);
  }
}
