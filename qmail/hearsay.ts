/**
 * What a process of another user's says on its standard error, as lines of our log. It gets a pipe to us, and never the log
 * itself: it could read, flood and forge that. Each line is told with who said it, cleaned, and only so many (warn.ts).
 */

import type { Readable } from "node:stream";
import { Warnings } from "./warn.ts";

/** Of a line that does not end so much is kept: more is not told. */
const LINE_MAX = 2000;
/** Who says more than this at once is listened to only now and then, or to throw it away would cost us our time. */
const AT_ONCE = 8192;
const DEAF_MS = 100;
/** Of so many it is known what they have said. */
const KNOWN_MAX = 1000;
/** What a process that has gone has said comes with its end, but for what others whom it gave the pipe to say: they are not heard. */
const LAST_MS = 1000;

export interface HearsayOptions {
  /** Takes a line with its newline. */
  readonly write: (line: string) => void;
  /** Milliseconds; for tests. */
  readonly now?: () => number;
}

/** Listens to all processes that one of ours has started. */
export class Hearsay {
  readonly #options: HearsayOptions;
  /** By who it is, so that to end and be started again brings nobody more; who spoke last is last. */
  readonly #known = new Map<string, Warnings>();

  constructor(options: HearsayOptions) {
    this.#options = options;
  }

  /**
   * Listens to what `who` says on `stream`. The function that it returns is to be called when the process has gone, and
   * resolves when all is told.
   */
  listen(stream: Readable, who: string): () => Promise<void> {
    let rest = "";
    stream.on("error", () => {});
    stream.on("data", (chunk: Buffer) => {
      const lines = (rest + chunk.toString("latin1")).split("\n");
      rest = (lines.pop() ?? "").slice(0, LINE_MAX);
      for (const line of lines) this.#of(who).say(line);
      if (chunk.length <= AT_ONCE) return;
      stream.pause();
      setTimeout(() => stream.resume(), DEAF_MS);
    });
    const closed = new Promise<void>((resolve) => {
      stream.on("close", () => {
        if (rest !== "") this.#of(who).say(rest);
        resolve();
      });
    });
    return () => {
      const timer = setTimeout(() => stream.destroy(), LAST_MS);
      return closed.finally(() => clearTimeout(timer));
    };
  }

  #of(who: string): Warnings {
    const { write, now } = this.#options;
    const known = this.#known.get(who) ?? new Warnings((line) => write(`${who}: ${line}\n`), now);
    this.#known.delete(who);
    this.#known.set(who, known);
    const [longest] = this.#known.keys();
    if (this.#known.size > KNOWN_MAX && longest !== undefined) this.#known.delete(longest);
    return known;
  }
}
