/**
 * Domains that have enough for now: a spawner has said "start nothing more for it until I say free"
 * (spawn/protocol.ts), and what waits for them meanwhile.
 *
 *   straight   deliveries of messages in memory: come back in order, or are written down after a while
 *   parked     messages with files whose only work left is for this one domain: in no priority queue,
 *              8 bytes and their order, so that a million for one slow domain are read once, not at every free
 *   listed     messages with other work too: they stay in the priority queue for that, and are only noted
 *              here, so that a free brings them forward for the recipients of that domain and no others
 *
 * A domain that is free again gives back what waited as slots come free; the rest of it still waits
 * here when the domain is held again.
 */

import type { MessId } from "../queue/fmtqfn.ts";
import type { IdSet } from "./id-set.ts";
import { OrderedSet } from "./ordered-set.ts";
import { Prioq } from "./prioq.ts";

/** So many domains may be held; of more nothing is remembered, and the spawner has them wait itself. */
const HELD_MAX = 10_000;
/** So many notes of listed messages are kept; without a note a message comes at its next retry. */
const NOTES_MAX = 100_000;

interface Domain {
  readonly name: string;
  held: boolean;
  readonly straight: OrderedSet<unknown>;
  readonly parked: Prioq;
  readonly listed: OrderedSet<Listed>;
}

interface Listed {
  readonly id: MessId;
  /** When everything else of the message is due. */
  readonly retry: number;
  readonly domains: ReadonlySet<string>;
}

/** A message that may go on. */
export type Resumed =
  | { readonly type: "parked"; readonly id: MessId }
  | {
      readonly type: "listed";
      readonly id: MessId;
      readonly retry: number;
      /** The domains to be tried, and those that are still held. */
      readonly free: ReadonlySet<string>;
      readonly held: ReadonlySet<string>;
    };

export class Holds<Straight> {
  readonly #domains = new Map<string, Domain>();
  readonly #listed = new Map<MessId, Listed>();
  /** Domains that are free, with something that waits; each gives one thing in turn. */
  readonly #ready = new Set<Domain>();
  #heldCount = 0;
  #notes = 0;
  #sequence = 0;
  #straightCount = 0;

  /** Deliveries of messages in memory that wait here. */
  get straightCount(): number {
    return this.#straightCount;
  }

  hold(host: string): void {
    if (this.#heldCount >= HELD_MAX) return;
    const domain = this.#domain(host.toLowerCase());
    if (domain.held) return;
    domain.held = true;
    this.#heldCount++;
    this.#ready.delete(domain);
  }

  free(host: string): void {
    const domain = this.#domains.get(host.toLowerCase());
    if (!domain?.held) return;
    domain.held = false;
    this.#heldCount--;
    this.#ready.add(domain);
    this.#settle(domain);
  }

  /** The spawner is gone, or everything is to be tried now. */
  freeAll(): void {
    for (const name of [...this.#domains.keys()]) this.free(name);
  }

  /** The domain of `address` in lower case when it is held. */
  heldDomain(address: string): string | null {
    if (this.#heldCount === 0) return null;
    const name = domainOf(address);
    return this.#domains.get(name)?.held ? name : null;
  }

  /** `delivery` waits for `domain`, which is held. */
  parkStraight(domain: string, delivery: Straight): void {
    const waiting = this.#domain(domain);
    waiting.straight.add(delivery);
    this.#straightCount++;
    this.#waits(waiting);
  }

  /** `delivery` does not wait for `domain` any more. */
  unparkStraight(domain: string, delivery: Straight): void {
    const waiting = this.#domains.get(domain);
    if (!waiting?.straight.delete(delivery)) return;
    this.#straightCount--;
    this.#settle(waiting);
  }

  /** The message `id` waits for `domain`, which was held, and has nothing else to do. */
  park(id: MessId, domain: string): void {
    const waiting = this.#domain(domain);
    waiting.parked.insert(id, this.#sequence++);
    this.#waits(waiting);
  }

  /** The message `id`, which is due again at `retry`, has work for `domains`, which were held. */
  list(id: MessId, retry: number, domains: ReadonlySet<string>): void {
    if (this.#notes + domains.size > NOTES_MAX) return;
    const listed = { id, retry, domains };
    this.#listed.set(id, listed);
    this.#notes += domains.size;
    for (const name of domains) {
      const domain = this.#domain(name);
      domain.listed.add(listed);
      this.#waits(domain);
    }
  }

  /** The message `id` is tried as a whole: what is noted of it does not count any more. */
  forget(id: MessId): void {
    const listed = this.#listed.get(id);
    if (listed) this.#forget(listed);
  }

  /** Takes out all messages of `ids` that wait for one domain alone. */
  take(ids: IdSet): MessId[] {
    const taken: MessId[] = [];
    for (const domain of [...this.#domains.values()]) {
      if (domain.parked.size === 0) continue;
      for (const { id } of domain.parked.take(ids)) taken.push(id);
      this.#settle(domain);
    }
    return taken;
  }

  /** Messages that wait for one domain alone. */
  get parkedCount(): number {
    let count = 0;
    for (const { parked } of this.#domains.values()) count += parked.size;
    return count;
  }

  /** The domains that are held, the first `most` of them. */
  heldNames(most: number): string[] {
    const names: string[] = [];
    for (const { name, held } of this.#domains.values()) {
      if (names.length >= most) break;
      if (held) names.push(name);
    }
    return names;
  }

  /** How many domains are held. */
  get heldCount(): number {
    return this.#heldCount;
  }

  /** The next delivery in memory whose domain is free again. */
  nextStraight(): Straight | undefined {
    if (this.#straightCount === 0) return undefined;
    return this.#take(({ straight }) => {
      const delivery = straight.shift() as Straight | undefined;
      if (delivery !== undefined) this.#straightCount--;
      return delivery;
    });
  }

  /** The next message with files that has a domain that is free again. */
  nextMessage(): Resumed | undefined {
    return this.#take<Resumed>((domain) => {
      const id = domain.parked.shift();
      if (id !== undefined) return { type: "parked", id };
      const message = domain.listed.next();
      return message && this.#resume(message);
    });
  }

  #resume(message: Listed): Resumed {
    this.#forget(message);
    const names = [...message.domains];
    const held = new Set(names.filter((name) => this.#domains.get(name)?.held));
    const free = new Set(names.filter((name) => !held.has(name)));
    return { type: "listed", id: message.id, retry: message.retry, free, held };
  }

  /** What `take` finds with the first of the ready domains that has such. */
  #take<T>(take: (domain: Domain) => T | undefined): T | undefined {
    for (const domain of this.#ready) {
      const taken = take(domain);
      if (taken === undefined) continue;
      // To the end: the others come first now.
      this.#ready.delete(domain);
      this.#ready.add(domain);
      this.#settle(domain);
      return taken;
    }
    return undefined;
  }

  #forget(listed: Listed): void {
    this.#listed.delete(listed.id);
    this.#notes -= listed.domains.size;
    for (const name of listed.domains) {
      const domain = this.#domains.get(name);
      if (!domain) continue;
      domain.listed.delete(listed);
      this.#settle(domain);
    }
  }

  #domain(name: string): Domain {
    let domain = this.#domains.get(name);
    if (!domain) {
      domain = {
        name,
        held: false,
        straight: new OrderedSet(),
        parked: new Prioq(),
        listed: new OrderedSet(),
      };
      this.#domains.set(name, domain);
    }
    return domain;
  }

  /** Something waits for `domain`, which may have become free since it was looked at. */
  #waits(domain: Domain): void {
    if (!domain.held) this.#ready.add(domain);
  }

  /** A domain that is free and for which nothing waits is forgotten. */
  #settle(domain: Domain): void {
    const { held, straight, parked, listed, name } = domain;
    if (held || straight.size > 0 || parked.size > 0 || listed.size > 0) return;
    this.#ready.delete(domain);
    this.#domains.delete(name);
  }
}

/** What stands behind the last @, in lower case. */
export function domainOf(address: string): string {
  return address.slice(address.lastIndexOf("@") + 1).toLowerCase();
}
