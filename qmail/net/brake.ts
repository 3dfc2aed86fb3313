/**
 * A brake on guessing: who has failed too often must wait. Each failure counts, and one is forgiven
 * every `forgiveSeconds`; all that is kept of a key is the time at which all its failures are. Used for logins, by
 * client and by account.
 */

import type { Times } from "./shared-times.ts";

export interface BrakeOptions {
  /** What its keys begin with, since brakes may share their times. */
  readonly name: string;
  /** So many failures are free. */
  readonly free: number;
  readonly forgiveSeconds: number;
}

export class Brake {
  readonly #options: BrakeOptions;
  readonly #times: Times;

  constructor(options: BrakeOptions, times: Times) {
    this.#options = options;
    this.#times = times;
  }

  /** True while `key` must wait; `now` in seconds. */
  holds(key: string, now: number): boolean {
    return Math.ceil(this.#failures(key, now)) >= this.#options.free;
  }

  failed(key: string, now: number): void {
    this.#set(key, Math.min(this.#failures(key, now) + 1, this.#options.free), now);
  }

  /** One failure of `key` was none. */
  takeBack(key: string, now: number): void {
    this.#set(key, Math.max(this.#failures(key, now) - 1, 0), now);
  }

  #failures(key: string, now: number): number {
    const until = this.#times.get(`${this.#options.name} ${key}`) ?? now;
    const { free, forgiveSeconds } = this.#options;
    // A clock that was set back must not hold anybody for longer than all failures do.
    return Math.min(Math.max(until - now, 0) / forgiveSeconds, free);
  }

  #set(key: string, failures: number, now: number): void {
    const { name, forgiveSeconds } = this.#options;
    this.#times.set(`${name} ${key}`, now + failures * forgiveSeconds);
  }
}
