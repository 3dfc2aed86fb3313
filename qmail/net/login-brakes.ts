/** Who may try a password, through whatever door: a brake for each client, and one for each account. */

import { clientOf } from "./address.ts";
import { Brake } from "./brake.ts";

/** A client's wrong passwords: twenty at once, then one in a minute. */
const CLIENT = { free: 20, forgiveSeconds: 60 };
/** An account's, from wherever: twenty at once, then one in half a minute. */
const ACCOUNT = { free: 20, forgiveSeconds: 30 };
/** Clients from which an account has logged in, that are remembered. */
const KNOWN_MAX = 20_000;

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

/** The brakes of one process. */
export class LoginBrakes {
  readonly #clients = new Brake(CLIENT);
  readonly #accounts = new Brake(ACCOUNT);
  readonly #known = new Set<string>();
  readonly #now: () => number;

  /** `now` in seconds. */
  constructor(now: () => number) {
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
    const pair = `${client} ${account}`;
    const known = this.#known.has(pair);
    if (this.#clients.holds(client, now)) return null;
    if (this.#accounts.holds(account, now) && !known) return null;
    this.#clients.failed(client, now);
    this.#accounts.failed(account, now);
    const undecided = () => {
      this.#clients.takeBack(client);
      this.#accounts.takeBack(account);
    };
    const right = () => {
      undecided();
      this.#remember(pair);
    };
    return { right, undecided };
  }

  #remember(pair: string): void {
    this.#known.delete(pair);
    this.#known.add(pair);
    if (this.#known.size <= KNOWN_MAX) return;
    for (const oldest of this.#known) {
      this.#known.delete(oldest);
      return;
    }
  }
}
