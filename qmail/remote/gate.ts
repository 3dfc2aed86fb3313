/**
 * The gate before one destination: how many may be on their way to it at once, how often, and whether it is
 * worth trying at all. One dead or slow domain thus holds a few of qmail-send's slots for a moment, never all.
 *
 *     open ── acquire ──> go, or waits while as many are inside as the window is wide
 *       │ ^ leave: the next goes in;  succeeded: the window is one wider, up to the limit
 *       │ └───────────────── succeeded ────────────────┐
 *       └─ failed ─> shut (1 min, 2, 4 ... 1 h) ─────> probing: one at a time
 *                    all who wait or come: "down"  <── failed ┘
 */

/** What a gate needs of the world. */
export interface GateClock {
  /** Milliseconds since some time; runs on whatever is done to the time of day. */
  now(): number;
  after(ms: number, action: () => void): void;
}

export const STEADY_CLOCK: GateClock = {
  now: () => performance.now(),
  after: (ms, action) => void setTimeout(action, ms),
};

export interface GateLimits {
  /** At once. */
  readonly concurrency: number;
  /** Entries in so many milliseconds; null: no limit. */
  readonly rate: { readonly count: number; readonly ms: number } | null;
}

/** How wide the window is before the first answer; until then one finds out whether there is one. */
const WINDOW_FIRST = 2;
const SHUT_FIRST_MS = 60_000;
const SHUT_MAX_MS = 3_600_000;

/** go: enter, and call `leave` afterwards. down: it does not answer; come again later. */
export type Admission = "go" | "down";

export class Gate {
  readonly #clock: GateClock;
  #limits: GateLimits;
  readonly #waiting: ((admission: Admission) => void)[] = [];
  #inside = 0;
  #window = WINDOW_FIRST;
  /** It has answered, and not failed since. */
  #answered = false;
  #failures = 0;
  #failed = Number.NEGATIVE_INFINITY;
  #shutUntil = 0;
  /** Entries of the current period of the rate, and its begin. */
  #entered = 0;
  #period = 0;
  #timer = false;

  constructor(limits: GateLimits, clock: GateClock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Nobody is inside or waits. */
  get empty(): boolean {
    return this.#inside === 0 && this.#waiting.length === 0;
  }

  /** It is empty, and nothing is remembered. */
  get forgettable(): boolean {
    return this.empty && this.#failures === 0;
  }

  /**
   * True when as many wait as there are places: more would only hold slots that others could use. Before
   * the first answer nobody need wait: so a dead destination holds one slot.
   */
  get full(): boolean {
    if (!this.#answered) return this.#inside > 0;
    return this.#waiting.length >= Math.max(1, this.#most - 1);
  }

  /** Nobody there could be reached the last time. */
  get failing(): boolean {
    return this.#failures > 0;
  }

  set limits(limits: GateLimits) {
    this.#limits = limits;
  }

  /** Resolves when the caller may enter, or with "down" when there is no use in it. */
  acquire(): Promise<Admission> {
    if (this.#shut) return Promise.resolve("down");
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#admit();
    });
  }

  leave(): void {
    this.#inside--;
    this.#admit();
  }

  /** The destination has answered. */
  succeeded(): void {
    this.#window = Math.min(this.#window + 1, this.#limits.concurrency);
    this.#answered = true;
    this.#failures = 0;
    this.#shutUntil = 0;
    this.#admit();
  }

  /** Nobody there could be reached: all who wait are sent away. */
  failed(): void {
    const now = this.#clock.now();
    // Those who were on their way together fail together: that is one failure.
    if (now < this.#shutUntil) return;
    this.#failed = now;
    this.#shutUntil = now + Math.min(SHUT_FIRST_MS * 2 ** this.#failures, SHUT_MAX_MS);
    this.#failures++;
    this.#window = WINDOW_FIRST;
    this.#answered = false;
    for (const resolve of this.#waiting.splice(0)) resolve("down");
  }

  /** Failures up to `time` (milliseconds) count no more: it is to be tried as if there were none. */
  forget(time: number): void {
    if (this.#failures === 0 || this.#failed > time) return;
    this.#failures = 0;
    this.#shutUntil = 0;
    this.#admit();
  }

  /** With failures behind us one at a time finds out whether it is back. */
  get #shut(): boolean {
    if (this.#failures === 0) return false;
    return this.#clock.now() < this.#shutUntil || this.#inside > 0;
  }

  get #most(): number {
    return this.#answered ? Math.min(this.#window, this.#limits.concurrency) : 1;
  }

  #admit(): void {
    while (this.#waiting.length > 0 && this.#inside < this.#most && this.#withinRate()) {
      this.#inside++;
      this.#entered++;
      this.#waiting.shift()?.("go");
    }
  }

  #withinRate(): boolean {
    const { rate } = this.#limits;
    if (!rate) return true;
    const now = this.#clock.now();
    if (now >= this.#period + rate.ms) {
      this.#period = now;
      this.#entered = 0;
    }
    if (this.#entered < rate.count) return true;
    if (!this.#timer) {
      this.#timer = true;
      this.#clock.after(this.#period + rate.ms - now, () => {
        this.#timer = false;
        this.#admit();
      });
    }
    return false;
  }
}
