/**
 * A brake on guessing: who has failed too often must wait. Each failure counts, and one is forgiven
 * every `forgiveSeconds`. Used for logins, by client and by account.
 */

export interface BrakeOptions {
  /** So many failures are free. */
  readonly free: number;
  readonly forgiveSeconds: number;
  /** So many keys are remembered; the one that failed longest ago is forgotten first. */
  readonly keys?: number;
}

interface Failures {
  readonly count: number;
  /** Seconds, when `count` was true. */
  readonly at: number;
}

const KEYS = 20_000;

export class Brake {
  readonly #options: BrakeOptions;
  readonly #failures = new Map<string, Failures>();

  constructor(options: BrakeOptions) {
    this.#options = options;
  }

  /** True while `key` must wait; `now` in seconds. */
  holds(key: string, now: number): boolean {
    return Math.ceil(this.#count(key, now)) >= this.#options.free;
  }

  failed(key: string, now: number): void {
    const { keys = KEYS } = this.#options;
    const count = Math.min(this.#count(key, now) + 1, this.#options.free);
    // Deleted first, so that it moves to the end of the map.
    this.#failures.delete(key);
    this.#failures.set(key, { count, at: now });
    if (this.#failures.size <= keys) return;
    for (const oldest of this.#failures.keys()) {
      this.#failures.delete(oldest);
      return;
    }
  }

  /** One failure of `key` was none. */
  takeBack(key: string): void {
    const known = this.#failures.get(key);
    if (!known) return;
    if (known.count <= 1) this.#failures.delete(key);
    else this.#failures.set(key, { ...known, count: known.count - 1 });
  }

  #count(key: string, now: number): number {
    const known = this.#failures.get(key);
    if (!known) return 0;
    return Math.max(0, known.count - (now - known.at) / this.#options.forgiveSeconds);
  }
}
