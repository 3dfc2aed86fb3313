/** The log files of an installation: log/SERVICE/current and what was rotated before it. */

import { readdirSync, readFileSync } from "node:fs";
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

/** Names of the files of a log directory of multilog's, oldest first; a rotated file's name is the time of its end. */
export function multilogFiles(directory: string): string[] {
  const names = readdirSync(directory);
  const old = names.filter((file) => /^@[0-9a-f]{24}\.[a-z.0-9]+$/.test(file)).sort();
  return [...old, ...names.filter((file) => file === "current")];
}

/** Those of them that are not packed; none where there is no directory. */
export function logFiles(directory: string): string[] {
  try {
    return multilogFiles(directory).filter((name) => /^(current|@[0-9a-f]{24}\.[su])$/.test(name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
