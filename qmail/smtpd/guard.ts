/** Who may try a password: a brake for each client, and one for each account. */

import { clientOf } from "../net/address.ts";
import { Brake } from "../net/brake.ts";
import type { Guard } from "./auth.ts";

/** A client's wrong passwords: ten at once, then one in a minute. */
const CLIENT = { free: 10, forgiveSeconds: 60 };
/** An account's, from wherever: twenty at once, then one in half a minute. */
const ACCOUNT = { free: 20, forgiveSeconds: 30 };
/** Clients from which an account has logged in, that are remembered. */
const KNOWN_MAX = 20_000;

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
    const pair = (login: string) => `${client} ${login.toLowerCase()}`;
    return {
      holds: (login) => {
        const now = this.#now();
        if (this.#clients.holds(client, now)) return true;
        return this.#accounts.holds(login.toLowerCase(), now) && !this.#known.has(pair(login));
      },
      failed: (login) => {
        const now = this.#now();
        this.#clients.failed(client, now);
        this.#accounts.failed(login.toLowerCase(), now);
      },
      succeeded: (login) => {
        this.#remember(pair(login));
      },
    };
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
