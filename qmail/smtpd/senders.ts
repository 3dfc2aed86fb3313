/**
 * Whose addresses a user may send from: his own, and what control/submissionsenders grants, in lines of
 * `user:address`, `user:@domain` or `user:*`. Pure.
 */

import { lowerAscii } from "../control/constmap.ts";

export interface SendersOptions {
  /** Where users without a domain in their name are at home: control/locals. */
  readonly domains: readonly string[];
  /** Of control/submissionsenders. */
  readonly lines: readonly string[];
}

export class Senders {
  readonly #domains: ReadonlySet<string>;
  readonly #granted = new Map<string, Set<string>>();

  constructor({ domains, lines }: SendersOptions) {
    this.#domains = new Set(domains.map(lowerAscii));
    for (const line of lines) {
      const colon = line.indexOf(":");
      if (colon <= 0) continue;
      const user = lowerAscii(line.slice(0, colon));
      const granted = this.#granted.get(user) ?? new Set();
      this.#granted.set(user, granted.add(lowerAscii(line.slice(colon + 1).trim())));
    }
  }

  /** True when `user` may send as `sender`. Nobody's address is everybody's: bounces have it. */
  owns(user: string, sender: string): boolean {
    if (sender === "") return true;
    const [who, address] = [lowerAscii(user), lowerAscii(sender)];
    return this.#isOwn(who, address) || this.#isGranted(who, address);
  }

  /** `joe` is joe and joe-anything at every local domain, `joe@example.com` at that one. */
  #isOwn(user: string, address: string): boolean {
    const at = address.lastIndexOf("@");
    if (at < 0) return false;
    const [local, domain] = [address.slice(0, at), address.slice(at + 1)];
    const userAt = user.lastIndexOf("@");
    const name = userAt < 0 ? user : user.slice(0, userAt);
    const atHome = userAt < 0 ? this.#domains.has(domain) : domain === user.slice(userAt + 1);
    return atHome && name !== "" && (local === name || local.startsWith(`${name}-`));
  }

  #isGranted(user: string, address: string): boolean {
    const granted = this.#granted.get(user);
    if (!granted) return false;
    const domain = address.slice(address.lastIndexOf("@"));
    return granted.has("*") || granted.has(address) || granted.has(domain);
  }
}
