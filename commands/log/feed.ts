/** The lines of several logs while they are written, each log by itself in order. */

import { setImmediate as turn } from "node:timers/promises";
import { latin1, StampReader } from "../../qmail/log/stamp.ts";
import { LineCutter } from "./analysis/read.ts";
import { cannotRead } from "./live.ts";
import { LogTail, type TailOptions } from "./tail.ts";

/** A line without its stamp; `tag`: syslog's name of the program. */
export interface FedLine {
  /** Milliseconds since 1970. */
  readonly ms: number;
  readonly text: string;
  /** The name of the log. */
  readonly service: string;
  readonly tag: string;
}

/** So much is read before others get their turn. */
const SLICE = 512 * 1024;
/** Logs that were not there are looked for again so often. */
const SEARCH_MS = 5000;

interface Followed {
  readonly tail: LogTail;
  readonly cutter: LineCutter;
}

export class LogFeed {
  readonly #paths: () => readonly string[];
  readonly #options: TailOptions;
  readonly #line: (line: FedLine) => void;
  readonly #logs = new Map<string, Followed>();
  #searched = Number.NEGATIVE_INFINITY;

  /** Follows what `paths` finds, now and later. */
  constructor(paths: () => readonly string[], options: TailOptions, line: (line: FedLine) => void) {
    this.#paths = paths;
    this.#options = options;
    this.#line = line;
  }

  /** False when there was more than the bound of what was wanted. */
  get whole(): boolean {
    return [...this.#logs.values()].every(({ tail }) => tail.whole);
  }

  /** Gives what has come since the last call. Throws CommandError when a log cannot be read. */
  async read(now: number): Promise<void> {
    if (now - this.#searched >= SEARCH_MS) {
      this.#searched = now;
      for (const path of this.#paths()) if (!this.#logs.has(path)) this.#follow(path, now);
    }
    for (const { tail, cutter } of this.#logs.values()) {
      while (tail.read((chunk) => cutter.push(chunk), SLICE)) await turn();
    }
  }

  close(): void {
    for (const { tail } of this.#logs.values()) tail.close();
    this.#logs.clear();
  }

  #follow(path: string, now: number): void {
    const tail = this.#open(path);
    if (tail === null) return;
    const stamps = new StampReader(now);
    const cutter = new LineCutter((bytes, from, to) => {
      stamps.read(bytes, from, to);
      const { ms, at, tag } = stamps;
      if (Number.isNaN(ms)) return;
      this.#line({ ms, text: latin1(bytes, at, to), service: tail.name, tag });
    });
    this.#logs.set(path, { tail, cutter });
  }

  /** Null when it is gone, as for a moment while it is turned over. */
  #open(path: string): LogTail | null {
    try {
      return new LogTail(path, this.#options);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === "ENOENT") return null;
      throw cannotRead(message);
    }
  }
}
