/**
 * What a daemon says on standard error, which is its log. Much of it is about what others have said or done, in their
 * words: here, at the one place that writes it, it becomes one line of printable characters, not too long, and a subject
 * has only so many lines. Else whoever can make a daemon speak could write lines of his own, or push out all others.
 */

/** Characters of a line. */
const LINE_MAX = 1000;
/** So many lines about a subject at once, and then one in so many milliseconds. */
const BURST = 30;
const LINE_MS = 1000;
/** What was left out is told of after this time, in milliseconds. */
const TELL_MS = 10_000;

/** `text` as one line: newlines as "/", what is not printable ASCII as "?", and its beginning if it is long. */
export function oneLine(text: string): string {
  const line = text.length > LINE_MAX ? `${text.slice(0, LINE_MAX)}...` : text;
  return line.replace(/[^ -~]/g, (character) => (character === "\n" ? "/" : "?"));
}

/** Warnings about one subject, which do not get in the way of others. */
export class Warnings {
  readonly #write: (line: string) => void;
  readonly #now: () => number;
  /** When all that was said so far will be forgiven: each line puts it off. */
  #until = 0;
  #leftOut = 0;

  /** `now` in milliseconds, of a clock that nobody sets. */
  constructor(write: (line: string) => void = toLog, now: () => number = () => performance.now()) {
    this.#write = write;
    this.#now = now;
  }

  say(text: string): void {
    const now = this.#now();
    const until = Math.max(this.#until, now) + LINE_MS;
    if (until - now > BURST * LINE_MS) {
      this.#leftOut++;
      if (this.#leftOut === 1) setTimeout(() => this.#tell(), TELL_MS).unref();
      return;
    }
    this.#until = until;
    this.#write(oneLine(text));
  }

  #tell(): void {
    this.#write(`... and ${this.#leftOut} more of this kind`);
    this.#leftOut = 0;
  }
}

function toLog(line: string): void {
  process.stderr.write(`warning: ${process.title}: ${line}\n`);
}

const others = new Warnings();

/** Says `text` as a warning of this process. What others can bring about as often as they like has a subject of its own. */
export function warn(text: string): void {
  others.say(text);
}
