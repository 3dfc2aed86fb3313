/**
 * Until when somebody is waited for, by a clock that nobody sets. There is one timer, and it is set anew only when it
 * fires too early or the time comes nearer: to give more time costs no more than to look at the clock.
 */

/** What a client has for what it is to say when places are short. */
export const HURRY_MS = 10_000;

/** Milliseconds by a clock that nobody sets. */
export function clock(): number {
  return performance.now();
}

export class Deadline {
  readonly #over: () => void;
  readonly #now: () => number;
  #due = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  /** When the timer fires. */
  #fires = Number.POSITIVE_INFINITY;
  #closed = false;

  /** `over` is called each time that the time is up; `now` in milliseconds. */
  constructor(over: () => void, now = clock) {
    this.#over = over;
    this.#now = now;
  }

  /** When the time is up; Infinity: it does not run. */
  get due(): number {
    return this.#due;
  }

  /** So many milliseconds are left from now on; Infinity: nobody is waited for. */
  allow(ms: number): void {
    if (this.#closed) return;
    this.#due = this.#now() + ms;
    this.#arm();
  }

  /** So many milliseconds more, but not more than `most` from now on. */
  extend(ms: number, most: number): void {
    if (this.#due === Number.POSITIVE_INFINITY) return;
    this.#due = Math.min(this.#due + ms, this.#now() + most);
    this.#arm();
  }

  /** No more than so many milliseconds from now on. */
  hurry(ms: number): void {
    this.extend(0, ms);
  }

  /** For good: what comes back late to somebody who has gone waits for nobody any more. */
  close(): void {
    this.#closed = true;
    this.#due = Number.POSITIVE_INFINITY;
    this.#clear();
  }

  #arm(): void {
    if (this.#due >= this.#fires || this.#due === Number.POSITIVE_INFINITY) return;
    this.#clear();
    this.#fires = this.#due;
    // Node has a list for each length of timers: whole numbers share one.
    this.#timer = setTimeout(() => this.#fired(), Math.ceil(this.#due - this.#now()));
  }

  #fired(): void {
    this.#clear();
    if (this.#due > this.#now()) {
      this.#arm();
      return;
    }
    this.#due = Number.POSITIVE_INFINITY;
    this.#over();
  }

  #clear(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    this.#fires = Number.POSITIVE_INFINITY;
  }
}
