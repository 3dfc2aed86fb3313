/** How many of something there were in the last second, minute, five minutes: counted in tenths of a second. */

/** Milliseconds. */
const STEP = 100;
/** The windows that are asked for, in milliseconds. */
export const WINDOWS = { "1s": 1000, "1m": 60_000, "5m": 300_000 } as const;
export type Window = keyof typeof WINDOWS;
/** The longest window, and the step that is not over yet. */
const STEPS = WINDOWS["5m"] / STEP + 1;

export class Rate {
  readonly #counts = new Uint32Array(STEPS);
  /** The step that each count is of; what is older is as if it were 0. */
  readonly #steps = new Float64Array(STEPS).fill(Number.NEGATIVE_INFINITY);
  total = 0;

  /** Counts one at the time `ms`. */
  add(ms: number): void {
    const step = Math.floor(ms / STEP);
    const at = ((step % STEPS) + STEPS) % STEPS;
    const known = this.#steps[at] as number;
    this.total++;
    // From before what stands there: too old to count in any window.
    if (known > step) return;
    if (known < step) {
      this.#steps[at] = step;
      this.#counts[at] = 0;
    }
    this.#counts[at] = (this.#counts[at] as number) + 1;
  }

  /** How many came in the window that ends with the last whole tenth of a second before `now`. */
  count(now: number, window: Window): number {
    const end = Math.floor(now / STEP);
    const first = end - WINDOWS[window] / STEP;
    let sum = 0;
    for (let at = 0; at < STEPS; at++) {
      const step = this.#steps[at] as number;
      if (step >= first && step < end) sum += this.#counts[at] as number;
    }
    return sum;
  }

  /** Per second; `seen` is since when everything is known, in milliseconds since 1970. */
  perSecond(now: number, window: Window, seen: number): number {
    const end = Math.floor(now / STEP) * STEP;
    const seconds = Math.min(WINDOWS[window], Math.max(end - seen, STEP)) / 1000;
    return this.count(now, window) / seconds;
  }
}
