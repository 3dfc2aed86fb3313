/**
 * Who holds a slot of qmail-send's and waits for a server to open a session. A server may take minutes for that, but not
 * many of them at once: when more than half of all slots wait so, those that have waited for a while are given up, the
 * longest first. So however many domains are dead, the living have the other half.
 */

import type { GateClock } from "./gate.ts";

/** So long a server is waited for in any case: some say nothing for six seconds, to see who speaks first. */
const SHORT_MS = 10_000;

interface Attempt {
  readonly began: number;
  giveUp(): void;
}

export class Patience {
  readonly #slots: () => number;
  readonly #clock: GateClock;
  /** In the order in which they began. */
  readonly #attempts = new Set<Attempt>();
  #timer = false;

  /** `slots` tells how many deliveries there may be at once. */
  constructor(slots: () => number, clock: GateClock) {
    this.#slots = slots;
    this.#clock = clock;
  }

  /** Begins to wait for a server; `giveUp` ends that at once. Returns what is to be called when it has ended. */
  begin(giveUp: () => void): () => void {
    const attempt = { began: this.#clock.now(), giveUp };
    this.#attempts.add(attempt);
    this.#check();
    return () => void this.#attempts.delete(attempt);
  }

  #check(): void {
    for (const attempt of this.#attempts) {
      if (this.#attempts.size <= this.#slots() / 2) return;
      const left = attempt.began + SHORT_MS - this.#clock.now();
      if (left > 0) {
        this.#checkAfter(left);
        return;
      }
      this.#attempts.delete(attempt);
      attempt.giveUp();
    }
  }

  #checkAfter(ms: number): void {
    if (this.#timer) return;
    this.#timer = true;
    this.#clock.after(ms, () => {
      this.#timer = false;
      this.#check();
    });
  }
}
