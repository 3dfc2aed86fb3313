/**
 * Messages delivered straight from todo, without info/, local/ and remote/ (INTERNALS.md, "Straight").
 *
 * Most messages have few recipients and succeed at the first try. For them the files that remember
 * who is done would be written, synced and removed for nothing. Until the message is finished, todo
 * holds it, so a crash costs at most a second copy. What does not succeed at once is written down
 * ("settled") and goes on as every other message.
 */

import type { MessId } from "../queue/fmtqfn.ts";
import type { Status } from "../spawn/report.ts";
import { bounceEntry } from "./bounce.ts";
import { Fifo } from "./fifo.ts";
import type { Holds } from "./holds.ts";
import { CHANNELS, type Channel } from "./log.ts";
import type { Settlement } from "./queue-files.ts";
import { nextRetry } from "./retry.ts";
import type { RewriteTables, Rewritten } from "./rewrite.ts";

/** A message with more recipients is settled first: a crash must not repeat them all. */
export const STRAIGHT_RECIPIENTS = 4;
/** So many wait in memory at once; more are settled first. */
const STRAIGHT_MESSAGES = 5000;
/** Of these, so many deliveries may wait for domains that are held: the others need the room. */
const PARKED_MAX = 1000;

/** A message that has left neither todo nor this process. */
export interface StraightMessage {
  readonly id: MessId;
  readonly sender: string;
  /** Seconds since 1970. */
  readonly birth: number;
  readonly recipients: readonly Rewritten[];
  /** For each recipient: not tried, its domain is held, at it, delivered or failed for good, to be tried again. */
  readonly states: ("waiting" | "held" | "busy" | "done" | "deferred")[];
  bounce: string;
}

export interface StraightDelivery {
  readonly message: StraightMessage;
  readonly at: number;
  readonly recipient: string;
}

/** What is to be done with a message now: nothing yet, remove it (everything is delivered), or settle it. */
export type Next = "open" | "end" | "settle";

export interface StraightContext {
  tables(): RewriteTables;
  readonly holds: Readonly<Record<Channel, Holds<StraightDelivery>>>;
  /** The message has recipients on held domains and others that are done: it is to be settled. */
  settle(message: StraightMessage): void;
}

export class StraightQueue {
  readonly #context: StraightContext;
  readonly #messages = new Map<MessId, StraightMessage>();
  readonly #waiting: Readonly<Record<Channel, Fifo<StraightDelivery>>> = {
    local: new Fifo(),
    remote: new Fifo(),
  };

  /** Messages of which nothing more is begun: they are settled as soon as nothing is under way. */
  readonly #withdrawn = new Map<MessId, Withdrawal>();

  constructor(context: StraightContext) {
    this.#context = context;
  }

  /** How many wait here. */
  get size(): number {
    return this.#messages.size;
  }

  /** The recipients of a message that is here. */
  recipients(id: MessId): readonly Rewritten[] {
    return this.#messages.get(id)?.recipients ?? [];
  }

  /** Has the message written down instead; resolves when it is not here any more. */
  withdraw(id: MessId): Promise<void> {
    const message = this.#messages.get(id);
    if (!message) return Promise.resolve();
    const withdrawal = this.#withdrawn.get(id) ?? withdrawn();
    this.#withdrawn.set(id, withdrawal);
    if (!message.states.includes("busy")) this.#context.settle(message);
    return withdrawal.left;
  }

  has(id: MessId): boolean {
    return this.#messages.has(id);
  }

  get idle(): boolean {
    return this.#messages.size === 0;
  }

  /** Takes the message, or returns false: it must be settled. */
  accept(message: StraightMessage): boolean {
    const { recipients } = message;
    if (recipients.length > STRAIGHT_RECIPIENTS || recipients.length === 0) return false;
    if (this.#messages.size >= STRAIGHT_MESSAGES) return false;
    const { holds } = this.#context;
    const wouldWait = ({ channel, address }: Rewritten) =>
      holds[channel].straightCount >= PARKED_MAX && holds[channel].heldDomain(address) !== null;
    if (recipients.some(wouldWait)) return false;
    this.#messages.set(message.id, message);
    for (const [at, { channel, address }] of recipients.entries()) {
      this.#waiting[channel].push({ message, at, recipient: address });
    }
    return true;
  }

  waiting(channel: Channel): boolean {
    return !this.#waiting[channel].empty;
  }

  /** The next delivery of `channel`; undefined when none waits but for a domain that is held. */
  next(channel: Channel): StraightDelivery | undefined {
    const holds = this.#context.holds[channel];
    for (;;) {
      const delivery = holds.nextStraight() ?? this.#waiting[channel].shift();
      if (!delivery) return undefined;
      const { message, at, recipient } = delivery;
      // Settled while it waited: its files remember it.
      if (this.#messages.get(message.id) !== message) continue;
      if (this.#withdrawn.has(message.id)) continue;
      const domain = holds.heldDomain(recipient);
      message.states[at] = domain === null ? "busy" : "held";
      if (domain === null) return delivery;
      holds.parkStraight(domain, delivery);
      if (next(message) === "settle") this.#context.settle(message);
    }
  }

  /** Notes an outcome. Returns what is to be done with the message now. */
  finished(delivery: StraightDelivery, status: Status, text: string): Next {
    const { message, at, recipient } = delivery;
    message.states[at] = status === "Z" ? "deferred" : "done";
    if (status === "D") message.bounce += bounceEntry(this.#context.tables(), recipient, text);
    const after = next(message);
    if (after !== "open" || !this.#withdrawn.has(message.id)) return after;
    return message.states.includes("busy") ? "open" : "settle";
  }

  forget(id: MessId): void {
    this.#messages.delete(id);
    this.#withdrawn.get(id)?.resolve();
    this.#withdrawn.delete(id);
  }

  /** Messages of which something is done and something not: at exit these must be settled. */
  begun(): StraightMessage[] {
    return [...this.#messages.values()].filter(
      ({ states, bounce }) =>
        bounce !== "" || states.some((state) => state !== "waiting" && state !== "held"),
    );
  }
}

interface Withdrawal {
  readonly left: Promise<void>;
  resolve(): void;
}

function withdrawn(): Withdrawal {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { left: promise, resolve };
}

function next({ states, bounce }: StraightMessage): Next {
  if (states.some((state) => state === "busy" || state === "waiting")) return "open";
  // What is done must not be repeated after a crash, however long a domain is held.
  if (states.includes("held")) return states.includes("done") ? "settle" : "open";
  return bounce === "" && !states.includes("deferred") ? "end" : "settle";
}

/** What the message's files must say at `now`. */
export function settlement(message: StraightMessage, now: number): Settlement {
  const { id, sender, birth, bounce } = message;
  const records: Record<Channel, string> = { local: "", remote: "" };
  const retry: Record<Channel, number> = { local: now, remote: now };
  for (const channel of CHANNELS) {
    const states = message.states.filter((_, at) => message.recipients[at]?.channel === channel);
    // A channel with nothing left to do has no file.
    if (states.every((state) => state === "done")) continue;
    if (states.includes("deferred")) retry[channel] = nextRetry(birth, channel, now);
    for (const [at, recipient] of message.recipients.entries()) {
      if (recipient.channel !== channel) continue;
      records[channel] += `${message.states[at] === "done" ? "D" : "T"}${recipient.address}\0`;
    }
  }
  return { id, sender, birth, records, retry, bounce };
}
