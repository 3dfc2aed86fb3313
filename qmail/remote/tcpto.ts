/**
 * Hosts that did not answer: lock/tcpto, the table that qmail-tcpto shows (C qmail: tcpto.c). 64
 * entries of 16 bytes: IPv4 address, count of time-outs, three bytes, time in seconds (4, little-endian), four bytes.
 */

import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { isIPv4 } from "node:net";

/** Where the table is, below the qmail home. */
export const TCPTO_FILE = "queue/lock/tcpto";
const ENTRY = 16;
/** Bytes of the table. */
const TCPTO_SIZE = 1024;
/** A host that timed out twice is left alone for an hour and a bit. */
const PAUSE_SECONDS = 3840;
/** Time-outs closer together than this are one. */
const TOGETHER_SECONDS = 120;
const COUNT_MAX = 10;

export interface TimedOut {
  readonly ip: string;
  readonly count: number;
  /** Seconds since 1970: the last time-out. */
  readonly time: number;
}

/** The hosts in the bytes of the table that have timed out. */
export function parseTcpto(table: Buffer): TimedOut[] {
  const found: TimedOut[] = [];
  for (let position = 0; position + ENTRY <= table.length; position += ENTRY) {
    const entry = table.subarray(position, position + ENTRY);
    const count = entry[4] as number;
    if (count === 0) continue;
    found.push({ ip: entry.subarray(0, 4).join("."), count, time: entry.readUInt32LE(8) });
  }
  return found;
}

/** Forgets all hosts in the table at `path`. Throws when it cannot be written. */
export function clearTcpto(path: string): void {
  const fd = openSync(path, "r+");
  try {
    writeSync(fd, Buffer.alloc(TCPTO_SIZE), 0, TCPTO_SIZE, 0);
  } finally {
    closeSync(fd);
  }
}

/** The time, in milliseconds, by two clocks. */
export interface TcptoClock {
  /** Since 1970; may be set back and ahead. */
  wall(): number;
  /** Since some time; runs on whatever is done to the other. */
  steady(): number;
}

const CLOCK: TcptoClock = { wall: Date.now, steady: () => performance.now() };

export class Tcpto {
  readonly #path: string;
  readonly #clock: TcptoClock;
  /** By the steady clock, when each that we noted ourselves timed out last; the file has others' too. */
  readonly #noted = new Map<string, number>();

  constructor(path: string, clock = CLOCK) {
    this.#path = path;
    this.#clock = clock;
  }

  /**
   * True when `ip` should not be tried now; time-outs up to `forgotten`, by the steady clock, do not count. Without
   * the table, or for IPv6, nobody is remembered.
   */
  shouldSkip(ip: string, forgotten = Number.NEGATIVE_INFINITY): boolean {
    const entry = this.#find(ip)?.entry;
    if (!entry || (entry[4] as number) < 2) return false;
    // What others have noted counts as noted before.
    const noted = this.#noted.get(ip) ?? Number.NEGATIVE_INFINITY;
    if (forgotten > Number.NEGATIVE_INFINITY && noted <= forgotten) return false;
    return this.#secondsSince(ip, entry) < PAUSE_SECONDS;
  }

  /** Notes how a connection to `ip` went. */
  note(ip: string, timedOut: boolean): void {
    if (!isIPv4(ip)) return;
    const found = this.#find(ip);
    if (timedOut) this.#noteTimeOut(ip, found);
    else if (found && found.entry[4] !== 0) {
      found.entry[4] = 0;
      this.#write(found.entry, found.position);
    }
    if (!timedOut) this.#noted.delete(ip);
  }

  #noteTimeOut(ip: string, found: { entry: Buffer; position: number } | null): void {
    const since = found ? this.#secondsSince(ip, found.entry) : Number.POSITIVE_INFINITY;
    const count = since === Number.POSITIVE_INFINITY ? 0 : (found?.entry[4] as number);
    if (count > 0 && since >= 0 && since < TOGETHER_SECONDS) return;
    const entry = Buffer.alloc(ENTRY);
    Buffer.from(ip.split(".").map(Number)).copy(entry);
    entry[4] = Math.min(count + 1, COUNT_MAX);
    entry.writeUInt32LE(this.#seconds, 8);
    this.#write(entry, found?.position ?? this.#oldest());
    this.#noted.delete(ip);
    this.#noted.set(ip, this.#clock.steady());
    const [first] = this.#noted.keys();
    if (this.#noted.size > TCPTO_SIZE / ENTRY && first !== undefined) this.#noted.delete(first);
  }

  /** Since the last time-out of `entry`; Infinity when it says nothing: its time is further ahead than anybody is left alone. */
  #secondsSince(ip: string, entry: Buffer): number {
    const noted = this.#noted.get(ip);
    if (noted !== undefined) return (this.#clock.steady() - noted) / 1000;
    const since = this.#seconds - entry.readUInt32LE(8);
    return since < -PAUSE_SECONDS ? Number.POSITIVE_INFINITY : since;
  }

  get #seconds(): number {
    return Math.floor(this.#clock.wall() / 1000);
  }

  /** Forgets all hosts. */
  clear(): void {
    this.#noted.clear();
    try {
      clearTcpto(this.#path);
    } catch {
      // Trouble with it is no trouble.
    }
  }

  #find(ip: string): { entry: Buffer; position: number } | null {
    if (!isIPv4(ip)) return null;
    const table = this.#read();
    const bytes = Buffer.from(ip.split(".").map(Number));
    for (let position = 0; position < table.length; position += ENTRY) {
      const entry = table.subarray(position, position + ENTRY);
      if (entry.subarray(0, 4).equals(bytes)) return { entry, position };
    }
    return null;
  }

  /** Where the first entry is that says nothing, else the oldest. */
  #oldest(): number {
    const table = this.#read();
    let best = 0;
    let oldest: number | null = null;
    for (let position = 0; position < table.length; position += ENTRY) {
      const count = table[position + 4] as number;
      const written = table.readUInt32LE(position + 8);
      const time = count === 0 || written > this.#seconds + PAUSE_SECONDS ? 0 : written;
      if (oldest === null || time < oldest) {
        oldest = time;
        best = position;
      }
    }
    return best;
  }

  #read(): Buffer {
    const table = Buffer.alloc(TCPTO_SIZE);
    return this.#open("r", table.subarray(0, 0), (fd) => {
      const count = readSync(fd, table, 0, TCPTO_SIZE, 0);
      return table.subarray(0, count - (count % ENTRY));
    });
  }

  #write(entry: Buffer, position: number): void {
    // A table that is shorter than it should be is not made longer.
    this.#open("r+", 0, (fd) =>
      fstatSync(fd).size < position + ENTRY ? 0 : writeSync(fd, entry, 0, ENTRY, position),
    );
  }

  /** The table only saves time: trouble with it is no trouble. */
  #open<T>(flags: string, otherwise: T, action: (fd: number) => T): T {
    try {
      const fd = openSync(this.#path, flags);
      try {
        return action(fd);
      } finally {
        closeSync(fd);
      }
    } catch {
      return otherwise;
    }
  }
}
