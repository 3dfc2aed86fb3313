/**
 * Who holds a slot of qmail-send's and waits for a server to open a session. A server may take minutes for that, but not
 * many of them at once: when more than half of all slots wait so, those that have waited for a while are given up. So however many domains are dead, the living have the other half.
 */

import type { GateClock } from "./gate.ts";

/** So long a server is waited for in any case: some say nothing for six seconds, to see who speaks first. */
const SHORT_MS = 10_000;
/** So long one that could not be reached the last time. */
const SHORT_AGAIN_MS = 1000;

interface Attempt {
  /** From then on it may be given up. */
  readonly until: number;
  giveUp(): void;
}

export class Patience {
  readonly #slots: () => number;
  readonly #clock: GateClock;
  readonly #attempts = new Set<Attempt>();
  #nextCheck = Number.POSITIVE_INFINITY;

  /** `slots` tells how many deliveries there may be at once. */
  constructor(slots: () => number, clock: GateClock) {
    this.#slots = slots;
    this.#clock = clock;
  }

  /**
   * Begins to wait for a server; `giveUp` ends that at once. `again`: it could not be reached the last time.
   * Returns what is to be called when the waiting has ended.
   */
  begin(giveUp: () => void, again: boolean): () => void {
    const until = this.#clock.now() + (again ? SHORT_AGAIN_MS : SHORT_MS);
    const attempt = { until, giveUp };
    this.#attempts.add(attempt);
    this.#check();
    return () => void this.#attempts.delete(attempt);
  }

  #check(): void {
    const tooMany = this.#attempts.size - Math.floor(this.#slots() / 2);
    if (tooMany <= 0) return;
    const first = [...this.#attempts].sort((a, b) => a.until - b.until).slice(0, tooMany);
    const now = this.#clock.now();
    for (const attempt of first) {
      if (attempt.until > now) {
        this.#checkAfter(attempt.until - now);
        return;
      }
      this.#attempts.delete(attempt);
      attempt.giveUp();
    }
  }

  #checkAfter(ms: number): void {
    const at = this.#clock.now() + ms;
    if (at >= this.#nextCheck) return;
    this.#nextCheck = at;
    this.#clock.after(ms, () => {
      if (this.#nextCheck === at) this.#nextCheck = Number.POSITIVE_INFINITY;
      this.#check();
    });
  }
}
