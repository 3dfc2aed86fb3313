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

/** What one failure has added. */
export interface Failure {
  /** Less than 1 where there was no room for more. */
  readonly added: number;
  /** In seconds; the oldest failures are forgiven first. */
  readonly forgivenAt: number;
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

  failed(key: string, now: number): Failure {
    const { free, forgiveSeconds } = this.#options;
    const before = this.#failures(key, now);
    const after = Math.min(before + 1, free);
    this.#set(key, after, now);
    return { added: after - before, forgivenAt: now + after * forgiveSeconds };
  }

  /** `failure` of `key` was none. Only what is left of it is taken back: the rest was another's. */
  takeBack(key: string, { added, forgivenAt }: Failure, now: number): void {
    const left = Math.min(added, (forgivenAt - now) / this.#options.forgiveSeconds);
    if (left > 0) this.#set(key, Math.max(this.#failures(key, now) - left, 0), now);
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
