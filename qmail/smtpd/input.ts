/** What a client has sent and nobody has looked at yet: taken in lines, or in bytes. Pure. */

const LF = 10;
const NOTHING = Buffer.alloc(0);

/** A line without its CR LF or LF; `null`: not there yet; `too-long`: thrown away, its end is here. */
export type Line = { readonly text: string } | "too-long" | null;

export class Input {
  readonly #lineMax: number;
  #bytes: Buffer = NOTHING;
  /** The rest of a line that is too long is thrown away. */
  #skipping = false;

  /** Lines longer than `lineMax` are not kept. */
  constructor(lineMax: number) {
    this.#lineMax = lineMax;
  }

  get length(): number {
    return this.#bytes.length;
  }

  push(chunk: Buffer): void {
    this.#bytes = this.#bytes.length > 0 ? Buffer.concat([this.#bytes, chunk]) : chunk;
  }

  /** What is behind a message, handed back. */
  restore(rest: Buffer): void {
    this.#bytes = rest;
  }

  line(): Line {
    const end = this.#bytes.indexOf(LF);
    const tooLong = this.#skipping || (end < 0 ? this.#bytes.length : end) > this.#lineMax;
    if (end < 0) {
      this.#skipping = tooLong;
      if (tooLong) this.#bytes = NOTHING;
      return null;
    }
    this.#skipping = false;
    const text = tooLong ? "" : this.#bytes.toString("latin1", 0, end);
    this.#bytes = this.#bytes.subarray(end + 1);
    if (tooLong) return "too-long";
    return { text: text.endsWith("\r") ? text.slice(0, -1) : text };
  }

  /** At most `count` bytes. */
  take(count = this.#bytes.length): Buffer {
    const taken = this.#bytes.subarray(0, count);
    this.#bytes = count >= this.#bytes.length ? NOTHING : this.#bytes.subarray(count);
    return taken;
  }

  clear(): void {
    this.#bytes = NOTHING;
  }
}
