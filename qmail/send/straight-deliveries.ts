/** Carries out what `StraightQueue` decides: takes new messages, starts their deliveries, and sees each to its end. */

import { FRAME } from "../queue/protocol.ts";
import type { Deliveries } from "./delivery.ts";
import type { Ending } from "./ending.ts";
import type { Channel } from "./log.ts";
import * as log from "./log.ts";
import type { QueueFiles } from "./queue-files.ts";
import type { Removals } from "./removals.ts";
import type { Settling } from "./settling.ts";
import type { StraightMessage, StraightQueue } from "./straight.ts";

/** With so many new messages in a second, what is not urgent waits. */
const BUSY_MESSAGES = 100;
/** After so many seconds a parked message is written down: when there is little to do, and in any case. */
const PARKED_SECONDS = 2;
const PARKED_SECONDS_MOST = 60;
/** So many of them at once. */
const WRITTEN_DOWN_MAX = 10;

export interface StraightDeliveriesContext {
  readonly straight: StraightQueue;
  readonly deliveries: Deliveries;
  readonly settling: Settling;
  readonly ending: Ending;
  readonly removals: Removals;
  readonly files: QueueFiles;
  readonly log: (line: string) => void;
  /** Seconds since 1970. */
  readonly now: () => number;
  /** Seconds after which a message is tried for the last time. */
  readonly lifetime: number;
  /** Another turn is wanted. */
  changed(): void;
}

export class StraightDeliveries {
  readonly #context: StraightDeliveriesContext;
  /** New messages in this second. */
  #second = 0;
  #count = 0;
  /** The last second had many. */
  #busy = false;

  constructor(context: StraightDeliveriesContext) {
    this.#context = context;
  }

  /** A new message: to be tried at once, or to be written down first. Resolves when the next may come. */
  async take(message: StraightMessage): Promise<void> {
    const { straight, settling, files, changed, now } = this.#context;
    this.#tick(now());
    this.#count++;
    // What a crash left of its files must not outlive it.
    if (!files.leftover(message.id) && straight.accept(message)) {
      changed();
      return;
    }
    void settling.settle(message);
    await settling.room();
  }

  /** Starts the next delivery of `channel`; false when there is none. */
  start(channel: Channel): boolean {
    const { straight, deliveries, now, lifetime } = this.#context;
    const delivery = straight.next(channel, now());
    if (!delivery) return false;
    const { message, recipient } = delivery;
    deliveries.start(channel, {
      id: message.id,
      made: message.made,
      sender: message.sender,
      recipient,
      dying: now() > message.birth + lifetime,
      done: (status, text) => {
        const next = straight.finished(delivery, { status, text, now: now() });
        if (next === "end") this.#end(message);
        else if (next === "bounce") void this.#bounce(message);
        else if (next === "settle") this.#settleOrPark(message);
      },
    });
    return true;
  }

  /** Writes down what has been parked for long. */
  writeDownParked(now: number): void {
    const { straight, settling } = this.#context;
    this.#tick(now);
    const seconds = this.#busy ? PARKED_SECONDS_MOST : PARKED_SECONDS;
    while (settling.size < WRITTEN_DOWN_MAX) {
      const message = straight.overdue(now - seconds);
      if (!message) return;
      this.#settle(message);
    }
  }

  /** When `writeDownParked` may have something to do, in seconds since 1970. */
  get wakeup(): number {
    return this.#context.straight.parkedSince + PARKED_SECONDS;
  }

  /** Writes down what must be remembered when we leave. */
  leave(): void {
    for (const message of this.#context.straight.begun()) this.#settle(message);
  }

  /** What the last whole second brought tells whether we are busy; after a pause we are not. */
  #tick(now: number): void {
    if (now === this.#second) return;
    this.#busy = now === this.#second + 1 && this.#count >= BUSY_MESSAGES;
    this.#second = now;
    this.#count = 0;
  }

  #settleOrPark(message: StraightMessage): void {
    const { straight, deliveries, now } = this.#context;
    // At the end it is left in todo: the next start tries it at once.
    const wait = this.#busy || deliveries.exiting;
    if (wait && straight.mayPark(message)) straight.parkDeferred(message, now());
    else this.#settle(message);
  }

  #settle(message: StraightMessage): void {
    void this.#context.settling.settle(message);
  }

  #end(message: StraightMessage): void {
    const { straight, removals, log: write } = this.#context;
    straight.forget(message.id);
    write(log.endMsg(message.id));
    removals.remove(FRAME.cleanAll, message);
  }

  /** The bounce first: a crash between makes a second one, never none. */
  async #bounce(message: StraightMessage): Promise<void> {
    const { ending, changed } = this.#context;
    if (await ending.bounce(message.id, message, message.bounce)) this.#end(message);
    else this.#settle(message);
    changed();
  }
}
