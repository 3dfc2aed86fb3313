/**
 * The time that a client has: for the first byte of a message and then by the bytes that come, for taking an answer,
 * and in all. While it is our turn no time passes.
 */

import { Deadline } from "../net/deadline.ts";
import type { Limits } from "../smtpd/limits.ts";

export interface PacerOptions {
  /** How much patience there is now. */
  limits(): Limits;
  /** The client's time is up. */
  over(): void;
  /** Milliseconds of a clock that nobody sets. */
  readonly now?: () => number;
}

export class Pacer {
  readonly #options: PacerOptions;
  readonly #now: () => number;
  readonly #deadline: Deadline;
  readonly #end: number;

  constructor(options: PacerOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#deadline = new Deadline(() => options.over(), this.#now);
    this.#end = this.#now() + options.limits().sessionMs;
  }

  /** When the client's time is up; Infinity: it is our turn. */
  get due(): number {
    return this.#deadline.due;
  }

  /** No more than so many milliseconds are left for what the client is to do. */
  hurry(ms: number): void {
    this.#deadline.hurry(ms);
  }

  close(): void {
    this.#deadline.close();
  }

  /** The bytes of `input`; `receiving` says whether they are of a message that has begun. */
  async *read(input: AsyncIterable<Buffer>, receiving: () => boolean): AsyncGenerator<Buffer> {
    const chunks = input[Symbol.asyncIterator]();
    let left = 0;
    for (;;) {
      if (!receiving()) left = this.#options.limits().commandMs;
      const began = this.#now();
      const { done, value } = await this.#within(left, chunks.next());
      if (done) return;
      const { commandMs, minRate } = this.#options.limits();
      left += began - this.#now() + (value.length / minRate) * 1000;
      left = Math.min(left, commandMs);
      yield value;
    }
  }

  /** Resolves as `written` does, which is an answer that the client has to take. */
  write(written: Promise<void>): Promise<void> {
    return this.#within(this.#options.limits().commandMs, written);
  }

  async #within<T>(ms: number, waited: Promise<T>): Promise<T> {
    this.#deadline.allow(Math.max(1, Math.min(ms, this.#end - this.#now())));
    try {
      return await waited;
    } finally {
      this.#deadline.allow(Number.POSITIVE_INFINITY);
    }
  }
}
