/** Deliveries under way: one slot each, as many as the concurrency of their channel (C qmail: del_*). */

import type { Link } from "../net/link.ts";
import type { MessId } from "../queue/fmtqfn.ts";
import { type Delivery, formatDelivery, SPAWN } from "../spawn/protocol.ts";
import type { Report, Status } from "../spawn/report.ts";
import type { UnderWay } from "./action-protocol.ts";
import * as log from "./log.ts";
import { CHANNELS, type Channel, type Use } from "./log.ts";
import { senderFor } from "./rewrite.ts";

/** So many deliveries of a channel that wait for something of their own user's take no slot. */
const WAITING_MAX = 1000;

const DYING_TEXT = "I'm not going to try again; this message has been in the queue too long.\n";

export interface DeliveryOrder {
  readonly id: MessId;
  /** Which message of that number (queue/made.ts). */
  readonly made: number;
  readonly sender: string;
  readonly recipient: string;
  /** True when the message is too old for another try: a deferral becomes a failure. */
  readonly dying: boolean;
  /** Called once with the outcome; the slot is free again afterwards. */
  done(status: Status, text: string): void;
}

interface Slot {
  readonly order: DeliveryOrder;
  readonly number: number;
  /** Milliseconds since 1970. */
  readonly since: number;
  waits: boolean;
}

interface ChannelState {
  link: Link | null;
  limit: number;
  /** Deliveries under way. */
  used: number;
  /** Of these wait for something of their own user's. */
  waiting: number;
  readonly slots: (Slot | undefined)[];
  readonly free: number[];
}

export class Deliveries {
  readonly #log: (line: string) => void;
  readonly #clock: () => number;
  readonly #channels: Record<Channel, ChannelState>;
  #lastNumber = 0;
  exiting = false;

  /** `clock` in milliseconds since 1970. */
  constructor(log: (line: string) => void, clock: () => number) {
    this.#log = log;
    this.#clock = clock;
    this.#channels = { local: newChannel(), remote: newChannel() };
  }

  /** The spawner of `channel` takes deliveries, `limit` at once. */
  connect(channel: Channel, link: Link, limit: number): void {
    const state = this.#channels[channel];
    state.link = link;
    state.limit = limit;
  }

  /** The spawner of `channel` is gone: what it was doing will never be reported. */
  disconnect(channel: Channel): void {
    this.#channels[channel].link = null;
  }

  available(channel: Channel): boolean {
    const { link, used } = this.#channels[channel];
    return link !== null && used < this.limit(channel) && !this.exiting;
  }

  /** How many may be under way now. Who waits for something of his own has a slot besides: nobody else can help it. */
  limit(channel: Channel): number {
    const { limit, waiting } = this.#channels[channel];
    return limit + Math.min(waiting, WAITING_MAX);
  }

  /** True when no report is outstanding that can still come. */
  get idle(): boolean {
    return Object.values(this.#channels).every(({ link, used }) => link === null || used === 0);
  }

  /** Starts a delivery; the channel must be available. */
  start(channel: Channel, order: DeliveryOrder): void {
    const state = this.#channels[channel];
    const number = ++this.#lastNumber;
    const delnum = state.free.pop() ?? state.slots.length;
    state.slots[delnum] = { order, number, since: this.#clock(), waits: false };
    state.used++;
    const { id, made, recipient } = order;
    const sender = senderFor(order.sender, recipient);
    const delivery = orderOf({ messid: id, made, sender, recipient });
    state.link?.send(SPAWN.deliver, delnum, delivery);
    this.#log(log.startingDelivery(id, { delivery: number, channel, recipient }));
    this.status();
  }

  /** The spawner of `channel` says what became of a delivery: K, Z or D and a text. False: there is no such delivery. */
  report(channel: Channel, delnum: number, report: string): boolean {
    const state = this.#channels[channel];
    const slot = state.slots[delnum];
    if (!slot) {
      this.#log(log.warning("internal error: delivery report out of range"));
      return false;
    }
    state.slots[delnum] = undefined;
    state.free.push(delnum);
    state.used--;
    if (slot.waits) state.waiting--;
    const { status, text } = this.#judge(slot, report);
    this.status();
    slot.order.done(status, text);
    return true;
  }

  /** The spawner of `channel` says that a delivery waits for something of its own user's, or goes on. */
  waits(channel: Channel, delnum: number, waits: boolean): void {
    const state = this.#channels[channel];
    const slot = state.slots[delnum];
    if (!slot || slot.waits === waits) return;
    slot.waits = waits;
    state.waiting += waits ? 1 : -1;
  }

  /** What is under way, `most` at the most. */
  list(most: number): UnderWay[] {
    const list: UnderWay[] = [];
    for (const channel of CHANNELS) {
      for (const slot of this.#channels[channel].slots) {
        if (!slot || list.length >= most) continue;
        const { id, recipient } = slot.order;
        list.push({ delivery: slot.number, id, channel, recipient, since: slot.since });
      }
    }
    return list;
  }

  /** How much of a channel is in use. After a wait more may go on at once than there are slots. */
  use(channel: Channel): Use {
    const { used } = this.#channels[channel];
    return { used, limit: Math.max(this.limit(channel), used) };
  }

  status(): void {
    const use = { local: this.use("local"), remote: this.use("remote") };
    this.#log(log.status(use, this.exiting));
  }

  /** Logs a report and says what it means for the recipient. */
  #judge({ order, number }: Pick<Slot, "order" | "number">, report: string): Report {
    const text = report.slice(1);
    switch (report[0]) {
      case "K":
        this.#log(log.delivery(number, "success", text));
        return { status: "K", text };
      case "D":
        this.#log(log.delivery(number, "failure", text));
        return { status: "D", text };
      case "Z":
        if (order.dying) return this.#judge({ order, number }, `D${text}${DYING_TEXT}`);
        this.#log(log.delivery(number, "deferral", text));
        return { status: "Z", text };
      default:
        this.#log(log.reportMangled(number));
        return { status: "Z", text };
    }
  }
}

/** qmail-queue takes no addresses that are too long for an order; of others' files the spawner refuses the empty one. */
function orderOf(delivery: Delivery): Buffer {
  const order = formatDelivery(delivery);
  if (order.length <= SPAWN.deliver.max) return order;
  return formatDelivery({ ...delivery, sender: "", recipient: "" });
}

function newChannel(): ChannelState {
  return { link: null, limit: 0, used: 0, waiting: 0, slots: [], free: [] };
}
