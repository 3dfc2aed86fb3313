/** Who may try a password, through whatever door: a brake for each client, and one for each account. */

import { join } from "node:path";
import { clientOf } from "./address.ts";
import { Brake } from "./brake.ts";
import { SharedTimes, type Times } from "./shared-times.ts";

/** A client's wrong passwords: twenty at once, then one in a minute. */
const CLIENT = { name: "client", free: 20, forgiveSeconds: 60 };
/** An account's, from wherever: twenty at once, then one in half a minute. */
const ACCOUNT = { name: "account", free: 20, forgiveSeconds: 30 };
/** So long it is remembered from where an account has logged in: thirty days. */
const KNOWN_SECONDS = 30 * 86_400;

/** Where the doors keep their brakes, below the qmail home: one for all, or each would have tries of its own. */
const BRAKES_DIRECTORY = "run/brakes";

/** The brakes of the installation in `home`. */
export function siteBrakes(home: string, warn: (text: string) => void): LoginBrakes {
  const times = new SharedTimes(join(home, BRAKES_DIRECTORY), {
    warn: (why) => warn(`failed logins count for this process alone: ${why}`),
  });
  return new LoginBrakes(times, () => Date.now() / 1000);
}

/** A guess under way. Until it has been said what came of it, it counts as a wrong one. */
export interface Guess {
  /** It was right. */
  right(): void;
  /** It could not be said whether it was. */
  undecided(): void;
}

/** Keeps those waiting who have failed too often. */
export interface Guard {
  /** Somebody tries to log in; null: he must wait. */
  guess(login: string): Guess | null;
}

/** Where other things keep guessing in bounds. */
export const NO_GUARD: Guard = { guess: () => ({ right() {}, undecided() {} }) };

/** The brakes of all who share `times`. */
export class LoginBrakes {
  readonly #clients: Brake;
  readonly #accounts: Brake;
  readonly #times: Times;
  readonly #now: () => number;

  /** `now` in seconds. */
  constructor(times: Times, now: () => number) {
    this.#clients = new Brake(CLIENT, times);
    this.#accounts = new Brake(ACCOUNT, times);
    this.#times = times;
    this.#now = now;
  }

  /**
   * The brakes as they are for the client at `ip`. The brake of an account does not count for clients
   * from which it has logged in before: else anybody could lock anybody out.
   */
  for(ip: string): Guard {
    const client = clientOf(ip);
    return {
      guess: (login) => this.#guess(client, login.toLowerCase()),
    };
  }

  /** Counted when it begins: else many at once would all find the brake off. */
  #guess(client: string, account: string): Guess | null {
    const now = this.#now();
    const pair = `known ${client} ${account}`;
    const known = (this.#times.get(pair) ?? 0) > now;
    if (this.#clients.holds(client, now)) return null;
    if (this.#accounts.holds(account, now) && !known) return null;
    this.#clients.failed(client, now);
    this.#accounts.failed(account, now);
    const undecided = () => {
      const then = this.#now();
      this.#clients.takeBack(client, then);
      this.#accounts.takeBack(account, then);
    };
    const right = () => {
      undecided();
      this.#times.set(pair, this.#now() + KNOWN_SECONDS);
    };
    return { right, undecided };
  }
}
