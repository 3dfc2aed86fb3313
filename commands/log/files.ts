/** The log files of an installation: log/SERVICE/current and what was rotated before it. */

import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { parseTai64n, STAMP_LENGTH } from "../../qmail/multilog/tai64n.ts";

export interface LogEntry {
  readonly service: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly text: string;
}

/** The services that have logs in `home`. */
export function loggedServices(home: string): string[] {
  return readdirSync(`${home}/log`).sort();
}

/** One line of a log file; null for a line without a stamp. */
export function parseEntry(service: string, line: string): LogEntry | null {
  const time = parseTai64n(line);
  return time === null ? null : { service, time, text: line.slice(STAMP_LENGTH + 1) };
}

/** The last `lines` lines of one service, or of all by time. Oldest first. */
export function tailLog(
  home: string,
  { service, lines }: { service?: string; lines: number },
): LogEntry[] {
  const services = service === undefined ? loggedServices(home) : [service];
  return services
    .flatMap((name) => tailService(home, name, lines))
    .sort((a, b) => a.time - b.time)
    .slice(-lines);
}

function tailService(home: string, service: string, lines: number): LogEntry[] {
  const directory = `${home}/log/${service}`;
  const entries: LogEntry[] = [];
  for (const name of logFiles(directory).reverse()) {
    const text = readFileSync(`${directory}/${name}`, "latin1").trimEnd();
    const some = text.split("\n").slice(entries.length - lines);
    const parsed = some.map((line) => parseEntry(service, line)).filter((entry) => entry !== null);
    entries.unshift(...parsed);
    if (entries.length >= lines) break;
  }
  return entries;
}

/** Names of the log files, oldest first; a rotated file's name is the time of its end. */
export function logFiles(directory: string): string[] {
  try {
    const names = readdirSync(directory);
    const rotated = names.filter((name) => /^@[0-9a-f]{24}\.[su]$/.test(name)).sort();
    return [...rotated, ...names.filter((name) => name === "current")];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Reads what is added to a service's log, across rotations. */
export class LogFollower {
  readonly #service: string;
  readonly #path: string;
  #fd: number;
  #inode: number;
  #position: number;
  #rest = "";

  /** From the present end of the log on. Throws when there is no log. */
  constructor(home: string, service: string) {
    this.#service = service;
    this.#path = `${home}/log/${service}/current`;
    this.#fd = openSync(this.#path, "r");
    const { ino, size } = fstatSync(this.#fd);
    this.#inode = ino;
    this.#position = size;
  }

  /** The lines that have come since the last call. */
  read(): LogEntry[] {
    const entries = this.#readOpen();
    const fd = openSync(this.#path, "r");
    const { ino } = fstatSync(fd);
    if (ino === this.#inode) {
      closeSync(fd);
      return entries;
    }
    closeSync(this.#fd);
    this.#fd = fd;
    this.#inode = ino;
    this.#position = 0;
    return [...entries, ...this.#readOpen()];
  }

  close(): void {
    closeSync(this.#fd);
  }

  #readOpen(): LogEntry[] {
    const chunk = Buffer.allocUnsafe(64 * 1024);
    for (;;) {
      const count = readSync(this.#fd, chunk, 0, chunk.length, this.#position);
      if (count === 0) break;
      this.#position += count;
      this.#rest += chunk.toString("latin1", 0, count);
    }
    const lines = this.#rest.split("\n");
    this.#rest = lines.pop() ?? "";
    return lines.map((line) => parseEntry(this.#service, line)).filter((entry) => entry !== null);
  }
}
