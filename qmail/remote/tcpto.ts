/**
 * Hosts that did not answer: lock/tcpto, the table that qmail-tcpto shows (C qmail: tcpto.c). 64
 * entries of 16 bytes: IPv4 address, count of time-outs, three bytes, time in seconds (4, little-endian), four bytes.
 */

import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { isIPv4 } from "node:net";

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

export class Tcpto {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * True when `ip` should not be tried now; time-outs up to `forgotten` do not count. Without the table, or
   * for IPv6, nobody is remembered.
   */
  shouldSkip(ip: string, now: number, forgotten = Number.NEGATIVE_INFINITY): boolean {
    const entry = this.#find(ip)?.entry;
    if (!entry || (entry[4] as number) < 2) return false;
    const time = entry.readUInt32LE(8);
    return time > forgotten && now - time < PAUSE_SECONDS;
  }

  /** Notes how a connection to `ip` went. */
  note(ip: string, timedOut: boolean, now: number): void {
    const found = this.#find(ip);
    if (!found) {
      if (timedOut && isIPv4(ip)) this.#replaceOldest(ip, now);
      return;
    }
    const { entry, position } = found;
    const count = entry[4] as number;
    if (!timedOut && count === 0) return;
    if (timedOut) {
      if (count > 0 && now < entry.readUInt32LE(8) + TOGETHER_SECONDS) return;
      entry.writeUInt32LE(now, 8);
    }
    entry[4] = timedOut ? Math.min(count + 1, COUNT_MAX) : 0;
    this.#write(entry, position);
  }

  /** Forgets all hosts. */
  clear(): void {
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

  /** The first entry that says nothing, else the oldest, makes room. */
  #replaceOldest(ip: string, now: number): void {
    const table = this.#read();
    let best = 0;
    let oldest: number | null = null;
    for (let position = 0; position < table.length; position += ENTRY) {
      const count = table[position + 4] as number;
      const time = count === 0 ? 0 : table.readUInt32LE(position + 8);
      if (oldest === null || time < oldest) {
        oldest = time;
        best = position;
      }
    }
    const entry = Buffer.alloc(ENTRY);
    Buffer.from(ip.split(".").map(Number)).copy(entry);
    entry[4] = 1;
    entry.writeUInt32LE(now, 8);
    if (table.length > 0) this.#write(entry, best);
  }

  #read(): Buffer {
    const table = Buffer.alloc(TCPTO_SIZE);
    return this.#open("r", table.subarray(0, 0), (fd) => {
      const count = readSync(fd, table, 0, TCPTO_SIZE, 0);
      return table.subarray(0, count - (count % ENTRY));
    });
  }

  #write(entry: Buffer, position: number): void {
    this.#open("r+", 0, (fd) => writeSync(fd, entry, 0, ENTRY, position));
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
