/**
 * Messages delivered straight from todo, without info/, local/ and remote/ (INTERNALS.md, "Straight").
 *
 * Most messages have few recipients and succeed at the first try. For them the files that remember
 * who is done would be written, synced and removed for nothing. Until the message is finished, todo
 * holds it, so a crash costs at most a second copy. What is to be tried again is written down
 * ("settled") and goes on as every other message. Of what nothing is done yet that may wait ("parked"), so that
 * in a burst nothing is written down for those who do not answer before the others have their mail.
 */

import type { MessId } from "../queue/fmtqfn.ts";
import type { Status } from "../spawn/report.ts";
import { bounceEntry } from "./bounce.ts";
import { Fifo } from "./fifo.ts";
import { domainOf, type Holds } from "./holds.ts";
import { CHANNELS, type Channel } from "./log.ts";
import type { Settlement } from "./queue-files.ts";
import { nextRetry } from "./retry.ts";
import type { RewriteTables, Rewritten } from "./rewrite.ts";

/** A message with more recipients is settled first: a crash must not repeat them all. */
export const STRAIGHT_RECIPIENTS = 4;
/** So many wait in memory at once; more are settled first. */
const STRAIGHT_MESSAGES = 5000;
/** Besides these so many may be parked. */
const PARKED_MAX = 20_000;

/** A message that has left neither todo nor this process. */
export interface StraightMessage {
  readonly id: MessId;
  /** Which message of that number (queue/made.ts). */
  readonly made: number;
  readonly sender: string;
  /** Seconds since 1970. */
  readonly birth: number;
  readonly recipients: readonly Rewritten[];
  /** For each recipient: not tried, its domain is held, at it, delivered or failed for good, to be tried again. */
  readonly states: ("waiting" | "held" | "busy" | "done" | "deferred")[];
  bounce: string;
  /** When the last of those was tried that are to be tried again, in seconds since 1970. */
  deferredAt?: number;
}

export interface StraightDelivery {
  readonly message: StraightMessage;
  /** Which of its recipients. */
  readonly at: number;
  readonly channel: Channel;
  readonly recipient: string;
}

/** What is to be done with a message now: nothing yet, remove it, with its bounce or without, or settle it. */
export type Next = "open" | "end" | "bounce" | "settle";

/** A message that waits for held domains, or for being written down because it is to be tried again. */
interface Parked {
  readonly message: StraightMessage;
  /** What of it waits for held domains. */
  readonly deliveries: Set<StraightDelivery>;
  /** Since when, in seconds since 1970. */
  readonly since: number;
}

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

  /** In the order in which they came to that. */
  readonly #parked = new Map<MessId, Parked>();
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

  /** Takes the message, or returns false: it must be settled. */
  accept(message: StraightMessage): boolean {
    const { recipients } = message;
    if (recipients.length > STRAIGHT_RECIPIENTS || recipients.length === 0) return false;
    if (this.#messages.size - this.#parked.size >= STRAIGHT_MESSAGES) return false;
    const { holds } = this.#context;
    const wouldWait = ({ channel, address }: Rewritten) =>
      holds[channel].heldDomain(address) !== null;
    if (this.#parked.size >= PARKED_MAX && recipients.some(wouldWait)) return false;
    this.#messages.set(message.id, message);
    for (const [at, { channel, address }] of recipients.entries()) {
      this.#waiting[channel].push({ message, at, channel, recipient: address });
    }
    return true;
  }

  /** The next delivery of `channel` at `now`; undefined when none waits but for a domain that is held. */
  next(channel: Channel, now: number): StraightDelivery | undefined {
    const holds = this.#context.holds[channel];
    for (;;) {
      const delivery = holds.nextStraight() ?? this.#waiting[channel].shift();
      if (!delivery) return undefined;
      this.#unpark(delivery);
      const { message, at, recipient } = delivery;
      // Settled while it waited: its files remember it.
      if (this.#messages.get(message.id) !== message) continue;
      if (this.#withdrawn.has(message.id)) continue;
      const domain = holds.heldDomain(recipient);
      message.states[at] = domain === null ? "busy" : "held";
      if (domain === null) return delivery;
      holds.parkStraight(domain, delivery);
      this.#park(delivery, now);
      if (next(message) === "settle") this.#context.settle(message);
    }
  }

  /** Notes an outcome, which came at `now`. Returns what is to be done with the message now. */
  finished(
    delivery: StraightDelivery,
    { status, text, now }: { status: Status; text: string; now: number },
  ): Next {
    const { message, at, recipient } = delivery;
    message.states[at] = status === "Z" ? "deferred" : "done";
    if (status === "Z") message.deferredAt = now;
    if (status === "D") message.bounce += bounceEntry(this.#context.tables(), recipient, text);
    const after = next(message);
    if (after !== "open" || !this.#withdrawn.has(message.id)) return after;
    return message.states.includes("busy") ? "open" : "settle";
  }

  /** Whether a message that is to be settled may wait for that: nothing is lost with what is known of it. */
  mayPark({ id, bounce, states }: StraightMessage): boolean {
    const fresh = bounce === "" && !states.includes("done") && !this.#withdrawn.has(id);
    return fresh && this.#parked.size < PARKED_MAX;
  }

  /** `message` is to be tried again, and waits for being written down since `now`. */
  parkDeferred(message: StraightMessage, now: number): void {
    if (!this.#parked.has(message.id)) {
      this.#parked.set(message.id, { message, deliveries: new Set(), since: now });
    }
  }

  /** True when the message, or a part of it, is to be tried again. */
  isDeferred(id: MessId): boolean {
    return this.#messages.get(id)?.states.includes("deferred") ?? false;
  }

  /** Whatever is here and was to be tried again later is tried now. */
  retryAll(): void {
    for (const { message, deliveries } of [...this.#parked.values()]) {
      for (const [at, { channel, address }] of message.recipients.entries()) {
        if (message.states[at] !== "deferred") continue;
        message.states[at] = "waiting";
        this.#waiting[channel].push({ message, at, channel, recipient: address });
      }
      if (deliveries.size === 0) this.#parked.delete(message.id);
    }
  }

  /** A message that has been parked since `time` or longer, of which nothing is under way. */
  overdue(time: number): StraightMessage | undefined {
    for (const { message, since } of this.#parked.values()) {
      if (since > time) return undefined;
      if (!message.states.includes("busy")) return message;
    }
    return undefined;
  }

  /** Since when the first of these is parked, in seconds since 1970; Infinity when there is none. */
  get parkedSince(): number {
    const [first] = this.#parked.values();
    return first?.since ?? Infinity;
  }

  #park(delivery: StraightDelivery, now: number): void {
    const { message } = delivery;
    const parked = this.#parked.get(message.id) ?? { message, deliveries: new Set(), since: now };
    parked.deliveries.add(delivery);
    this.#parked.set(message.id, parked);
  }

  #unpark(delivery: StraightDelivery): void {
    const { id } = delivery.message;
    const parked = this.#parked.get(id);
    if (parked?.deliveries.delete(delivery) && parked.deliveries.size === 0) {
      this.#parked.delete(id);
    }
  }

  /** The message has gone, or is another's now: nothing of it is begun any more. */
  forget(id: MessId): void {
    for (const delivery of this.#parked.get(id)?.deliveries ?? []) {
      const { channel, recipient } = delivery;
      this.#context.holds[channel].unparkStraight(domainOf(recipient), delivery);
    }
    this.#parked.delete(id);
    this.#messages.delete(id);
    this.#withdrawn.get(id)?.resolve();
    this.#withdrawn.delete(id);
  }

  /** Messages of which something is done and something not: at exit these must be settled. Others are in todo. */
  begun(): StraightMessage[] {
    return [...this.#messages.values()].filter(
      ({ states, bounce }) => bounce !== "" || states.includes("done"),
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
  if (states.includes("deferred")) return "settle";
  return bounce === "" ? "end" : "bounce";
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
    if (states.includes("deferred")) {
      retry[channel] = nextRetry(birth, channel, message.deferredAt ?? now);
    }
    for (const [at, recipient] of message.recipients.entries()) {
      if (recipient.channel !== channel) continue;
      records[channel] += `${message.states[at] === "done" ? "D" : "T"}${recipient.address}\0`;
    }
  }
  return { id, sender, birth, records, retry, bounce };
}
