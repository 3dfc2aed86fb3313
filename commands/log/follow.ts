/** `--follow`: what is added to logs, across their rotation, from the last lines on that there are. */

import { once } from "node:events";
import { watch } from "node:fs";
import { dirname } from "node:path";
import { execa } from "execa";
import { CommandError, UsageError } from "../output.ts";
import { LineReader, type ShownLine } from "./lines.ts";
import { homeServices, journalArguments, journalLine, type SourceOptions } from "./sources.ts";
import { LogTail, liveLogs } from "./tail.ts";

/** So much of what each log has already is looked through for the last lines. */
const HISTORY_BYTES = 8 << 20;

export interface Follower {
  /** What there is, oldest first. */
  old(lines: readonly ShownLine[]): void;
  /** One that has come. */
  line(line: ShownLine): void;
}

/** Tells `follower` what is logged, until the user interrupts. */
export async function followLogs(options: SourceOptions, follower: Follower): Promise<void> {
  const { journal } = options;
  if (journal !== undefined) return followJournal(journal, follower);
  const logs = livePaths(options).map((path) => {
    const tail = new LogTail(path, { since: 0, bytes: HISTORY_BYTES });
    return { path, tail, reader: new LineReader(tail.name, Date.now()) };
  });
  const old = logs.flatMap(({ tail, reader }) => news(tail, reader));
  follower.old(old.sort((a, b) => a.time - b.time));
  const watchers = logs.map(({ path, tail, reader }) => {
    const read = () => {
      for (const line of news(tail, reader)) follower.line(line);
    };
    const watcher = watch(dirname(path), read);
    // What came before there was somebody to watch.
    read();
    return watcher;
  });
  await once(process, "SIGINT");
  for (const watcher of watchers) watcher.close();
  for (const { tail } of logs) tail.close();
}

function livePaths({ home, files, service }: SourceOptions): string[] {
  if (files.includes("-")) {
    throw new UsageError("--follow goes with files, directories or the journal", [
      "standard input is shown as it comes without it",
    ]);
  }
  const paths =
    files.length > 0 ? files : homeServices(home, service).map((name) => `${home}/log/${name}`);
  try {
    return paths.flatMap((path) => liveLogs(path));
  } catch (error) {
    throw new CommandError(`cannot follow the log: ${(error as Error).message}`);
  }
}

function news(tail: LogTail, reader: LineReader): ShownLine[] {
  const lines: ShownLine[] = [];
  tail.read((chunk) => {
    for (const line of reader.push(chunk)) lines.push(line);
  });
  return lines;
}

async function followJournal(unit: string, follower: Follower): Promise<void> {
  const reader = new LineReader(`journal ${unit}`, Date.now());
  const child = execa("journalctl", [...journalArguments(unit), "--follow"], { buffer: false });
  process.once("SIGINT", () => child.kill());
  try {
    for await (const line of child) {
      const text = Buffer.from(journalLine(line), "latin1");
      for (const each of reader.push(text)) follower.line(each);
    }
  } catch (error) {
    if (!child.killed) {
      throw new CommandError(`cannot read the journal: ${(error as Error).message}`);
    }
  }
}
