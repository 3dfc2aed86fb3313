/**
 * What a process of another user's says on its standard output and error, as lines of our log. It gets a pipe to us, and never
 * the log itself: it could read, flood and forge that. Here each line is told who said it, and made one of printable
 * characters; and nobody says more than so much.
 */

import type { Readable } from "node:stream";

/** Longer lines are cut off. */
const LINE_MAX = 500;
/** Somebody may say so much at once, and then so much a second. */
const BYTES_AT_ONCE = 8000;
const BYTES_PER_SECOND = 500;
/** Who says more is listened to only now and then, or to throw it away would cost us our time. */
const DEAF_MS = 100;
/** What was not told is counted, and that is told so late at the most. */
const COUNT_MS = 10_000;
/** What a process that has gone has said comes with its end, but for what others whom it gave the pipe to say: they are not heard. */
const LAST_MS = 1000;

/** What somebody may still say. */
interface Allowance {
  bytes: number;
  /** When that was so, in milliseconds of a clock that nobody sets. */
  at: number;
}

export interface HearsayOptions {
  /** Takes a line with its newline, a byte string. */
  readonly write: (line: string) => void;
  /** Milliseconds; for tests. */
  readonly now?: () => number;
}

/** Listens to all processes that one of ours has started. */
export class Hearsay {
  readonly #write: (line: string) => void;
  readonly #now: () => number;
  /** By who it is, so that to end and be started again brings nobody more. */
  readonly #allowances = new Map<string, Allowance>();

  constructor({ write, now = () => performance.now() }: HearsayOptions) {
    this.#write = write;
    this.#now = now;
  }

  /**
   * Listens to what `who` says on `stream`. The function that it returns is to be called when the process has gone, and
   * resolves when all is told.
   */
  listen(stream: Readable, who: string): () => Promise<void> {
    const speaker = new Speaker(who, {
      write: this.#write,
      mayHave: (bytes) => this.#mayHave(who, bytes),
    });
    stream.on("error", () => {});
    stream.on("data", (chunk: Buffer) => {
      if (speaker.say(chunk.toString("latin1"))) return;
      stream.pause();
      setTimeout(() => stream.resume(), DEAF_MS);
    });
    const closed = new Promise<void>((resolve) => {
      stream.on("close", () => {
        speaker.end();
        resolve();
      });
    });
    return () => {
      const timer = setTimeout(() => stream.destroy(), LAST_MS);
      return closed.finally(() => clearTimeout(timer));
    };
  }

  #mayHave(who: string, bytes: number): boolean {
    const allowance = this.#allowance(who);
    if (allowance.bytes < bytes) return false;
    allowance.bytes -= bytes;
    return true;
  }

  #allowance(who: string): Allowance {
    const now = this.#now();
    const known = this.#allowances.get(who);
    if (!known) this.#forget(now);
    const { bytes, at } = known ?? { bytes: BYTES_AT_ONCE, at: now };
    const grown = Math.min(BYTES_AT_ONCE, bytes + ((now - at) * BYTES_PER_SECOND) / 1000);
    const allowance = { bytes: grown, at: now };
    this.#allowances.set(who, allowance);
    return allowance;
  }

  /** Who has been silent for long is as one who has never spoken. */
  #forget(now: number): void {
    const full = (BYTES_AT_ONCE * 1000) / BYTES_PER_SECOND;
    for (const [who, { at }] of this.#allowances) if (now - at > full) this.#allowances.delete(who);
  }
}

/** One stream's lines. */
class Speaker {
  readonly #who: string;
  readonly #write: (line: string) => void;
  readonly #mayHave: (bytes: number) => boolean;
  #rest = "";
  #untold = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(
    who: string,
    { write, mayHave }: { write(line: string): void; mayHave(bytes: number): boolean },
  ) {
    this.#who = who;
    this.#write = write;
    this.#mayHave = mayHave;
  }

  /** False when it says too much. */
  say(text: string): boolean {
    const lines = (this.#rest + text).split("\n");
    // Of a line that does not end its beginning is enough.
    this.#rest = (lines.pop() ?? "").slice(0, LINE_MAX + 1);
    for (const line of lines) this.#tell(line);
    return this.#untold === 0;
  }

  end(): void {
    if (this.#rest !== "") this.#tell(this.#rest);
    this.#rest = "";
    this.#tellCount();
  }

  #tell(text: string): void {
    const line = `${this.#who}: ${oneLine(text)}\n`;
    if (this.#untold === 0 && this.#mayHave(line.length)) this.#write(line);
    else this.#count();
  }

  #count(): void {
    this.#untold++;
    this.#timer ??= setTimeout(() => this.#tellCount(), COUNT_MS).unref();
  }

  /** Told whatever was said before, so that nothing is missing without a word. */
  #tellCount(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#untold > 0) this.#write(`${this.#who}: ... and ${this.#untold} lines more\n`);
    this.#untold = 0;
  }
}

/** What is not printable ASCII as "_"; cut off with dots when it is too long. */
function oneLine(text: string): string {
  const clean = text.slice(0, LINE_MAX).replace(/[^ -~]/g, "_");
  return text.length > LINE_MAX ? `${clean} ...` : clean;
}
