/** Who may try a password, through whatever door: a brake for each client, and one for each account. */

import { join } from "node:path";
import { clientOf } from "./address.ts";
import { Brake } from "./brake.ts";
import { SharedTimes, type Times } from "./shared-times.ts";

/** A client's wrong passwords: twenty at once, then one in a minute. */
const CLIENT = { name: "client", free: 20, forgiveSeconds: 60 };
/** An account's, from wherever: twenty at once, then one in half a minute. */
const ACCOUNT = { name: "account", free: 20, forgiveSeconds: 30 };
/** Tries of a client of which it could not be said whether they were right: sixty at once, then twelve in a minute. */
const TROUBLE = { name: "trouble", free: 60, forgiveSeconds: 5 };
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
  readonly #trouble: Brake;
  readonly #times: Times;
  readonly #now: () => number;

  /** `now` in seconds. */
  constructor(times: Times, now: () => number) {
    this.#clients = new Brake(CLIENT, times);
    this.#accounts = new Brake(ACCOUNT, times);
    this.#trouble = new Brake(TROUBLE, times);
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

  /**
   * Counted when it begins: else many at once would all find the brake off. A right one takes back itself and no
   * more, or who has one good account would be free to guess at others, and each login of a user would give
   * one more guess to those who try his password.
   */
  #guess(client: string, account: string): Guess | null {
    const now = this.#now();
    const pair = `known ${client} ${account}`;
    const known = (this.#times.get(pair) ?? 0) > now;
    if (this.#clients.holds(client, now) || this.#trouble.holds(client, now)) return null;
    if (this.#accounts.holds(account, now) && !known) return null;
    const byClient = this.#clients.failed(client, now);
    const ofAccount = this.#accounts.failed(account, now);
    const wasNone = () => {
      const then = this.#now();
      this.#clients.takeBack(client, byClient, then);
      this.#accounts.takeBack(account, ofAccount, then);
      return then;
    };
    return {
      right: () => void this.#times.set(pair, wasNone() + KNOWN_SECONDS),
      undecided: () => void this.#trouble.failed(client, wasNone()),
    };
  }
}
