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
import { CHANNELS, type Channel } from "./log.ts";
import type { Settlement } from "./queue-files.ts";
import { nextRetry } from "./retry.ts";
import type { RewriteTables, Rewritten } from "./rewrite.ts";

/** A message with more recipients is settled first: a crash must not repeat them all. */
export const STRAIGHT_RECIPIENTS = 4;
/** So many wait in memory at once; more are settled first. */
const STRAIGHT_MESSAGES = 5000;

/** A message that has left neither todo nor this process. */
export interface StraightMessage {
  readonly id: MessId;
  readonly sender: string;
  /** Seconds since 1970. */
  readonly birth: number;
  readonly recipients: readonly Rewritten[];
  /** For each recipient: not tried, at it, delivered or failed for good, to be tried again. */
  readonly states: ("waiting" | "busy" | "done" | "deferred")[];
  bounce: string;
}

export interface StraightDelivery {
  readonly message: StraightMessage;
  readonly at: number;
  readonly recipient: string;
}

export class StraightQueue {
  readonly #tables: () => RewriteTables;
  readonly #messages = new Map<MessId, StraightMessage>();
  readonly #waiting: Readonly<Record<Channel, Fifo<StraightDelivery>>> = {
    local: new Fifo(),
    remote: new Fifo(),
  };

  constructor(tables: () => RewriteTables) {
    this.#tables = tables;
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
    this.#messages.set(message.id, message);
    for (const [at, { channel, address }] of recipients.entries()) {
      this.#waiting[channel].push({ message, at, recipient: address });
    }
    return true;
  }

  waiting(channel: Channel): boolean {
    return !this.#waiting[channel].empty;
  }

  /** The next delivery of `channel`; undefined when none waits. */
  next(channel: Channel): StraightDelivery | undefined {
    const delivery = this.#waiting[channel].shift();
    if (delivery) delivery.message.states[delivery.at] = "busy";
    return delivery;
  }

  /**
   * Notes an outcome. Returns what is to be done with the message now: nothing yet, remove it
   * (everything is delivered), or settle it.
   */
  finished(delivery: StraightDelivery, status: Status, text: string): "open" | "end" | "settle" {
    const { message, at, recipient } = delivery;
    message.states[at] = status === "Z" ? "deferred" : "done";
    if (status === "D") message.bounce += bounceEntry(this.#tables(), recipient, text);
    if (message.states.some((state) => state === "busy" || state === "waiting")) return "open";
    const delivered = message.bounce === "" && !message.states.includes("deferred");
    return delivered ? "end" : "settle";
  }

  forget(id: MessId): void {
    this.#messages.delete(id);
  }

  /** Messages of which something is done and something not: at exit these must be settled. */
  begun(): StraightMessage[] {
    return [...this.#messages.values()].filter(
      ({ states, bounce }) => bounce !== "" || states.some((state) => state !== "waiting"),
    );
  }
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

/** First in, first out, without moving what stays. */
class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get empty(): boolean {
    return this.#head === this.#items.length;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    const item = this.#items[this.#head];
    if (item === undefined) return undefined;
    this.#items[this.#head++] = undefined;
    if (this.#head > 1000 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}
