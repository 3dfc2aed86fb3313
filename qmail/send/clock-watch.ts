/**
 * Tells when the clock of the machine was set back. Times of the next tries are times of that clock, since they are kept in
 * files: what was put off while it was wrong would wait until it has come so far again.
 */

/** Less is what clocks do while they are kept right. */
const BACK_SECONDS = 60;

export class ClockWatch {
  readonly #now: () => number;
  readonly #elapsed: () => number;
  #ahead: number;

  /** `now` and `elapsed` in milliseconds: the machine's clock, and one that nobody sets. */
  constructor(now: () => number = Date.now, elapsed: () => number = () => performance.now()) {
    this.#now = now;
    this.#elapsed = elapsed;
    this.#ahead = now() - elapsed();
  }

  /** So many whole seconds the clock was set back since this was last asked; 0 when it was not. */
  back(): number {
    const ahead = this.#now() - this.#elapsed();
    const seconds = Math.floor((this.#ahead - ahead) / 1000);
    // Little by little is not noticed; a step is, however long nobody asks.
    this.#ahead = ahead;
    return seconds >= BACK_SECONDS ? seconds : 0;
  }
}
