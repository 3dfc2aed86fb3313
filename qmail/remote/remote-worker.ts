/**
 * qmail-rspawn's worker: all deliveries to other hosts in one process, with a gate before each destination,
 * connections used for one message after another, and recipients of one message together where
 * control/remoteoptions allows it.
 */

import type { Message } from "../spawn/message.ts";
import type { Flow } from "../spawn/protocol.ts";
import type { Report } from "../spawn/report.ts";
import { warn } from "../warn.ts";
import { type NotConnected, openSession } from "./connecting.ts";
import { Gate, type GateClock } from "./gate.ts";
import { Patience } from "./patience.ts";
import type { Plan } from "./plan.ts";
import { deliveryReport, findPlan, type RemoteConfig } from "./remote.ts";
import { isSession, type MailSession } from "./session.ts";
import type { Transfer } from "./transaction.ts";
import type { Outcome } from "./words.ts";
import * as words from "./words.ts";

/** A connection waits this long for another message: servers close theirs after some minutes. */
const IDLE_MS = 5000;
/** So long those may still talk who are at it when we are told to leave. */
const LEAVE_MS = 3000;
/** Destinations that are remembered; those that nothing is known of make room first, then the oldest that nobody is at. */
const DESTINATIONS_MAX = 10_000;
/** So many make room together: to look for them costs a look at all. */
const DESTINATIONS_FORGOTTEN = 1000;

export interface RemoteOrder {
  readonly messid: string;
  /** Which message of that number (queue/made.ts). */
  readonly made: string;
  readonly host: string;
  readonly sender: string;
  readonly recipient: string;
  readonly message: Message;
}

/** How an order is carried out, by the config as it was when that came. */
interface Errand {
  readonly config: RemoteConfig;
  readonly plan: Plan;
  readonly order: RemoteOrder;
}

/** Recipients of one message that go together. */
interface Batch {
  readonly recipients: string[];
  readonly outcome: Promise<Outcome>;
}

interface IdleSession {
  readonly session: MailSession;
  readonly timer: NodeJS.Timeout;
}

/** All that goes to the same servers in the same way. */
class Destination {
  readonly gate: Gate;
  /** Domains of ours that were told to wait. */
  readonly #held = new Set<string>();
  readonly idle: IdleSession[] = [];
  /** What was said when nobody could be reached. */
  lastFailure: Report = words.NO_CONNECTION;

  constructor(plan: Plan, clock: GateClock) {
    this.gate = new Gate(plan.options, clock);
  }

  /** Tells `host` to wait while the gate is full, and all who were told so to come when it is not. */
  regulate(host: string, flow: Flow): void {
    if (this.gate.full) {
      if (this.#held.has(host)) return;
      this.#held.add(host);
      flow.hold(host);
      return;
    }
    for (const held of this.#held) flow.free(held);
    this.#held.clear();
  }

  /** As `regulate`, for a domain ("" for all) that was told to wait and has been let go meanwhile. */
  regulateAgain(host: string, flow: Flow): void {
    const held = [...this.#held].filter((each) => host === "" || each.toLowerCase() === host);
    for (const each of held) {
      this.#held.delete(each);
      this.regulate(each, flow);
    }
  }

  /** A connection that has been used before and still lives. */
  take(): MailSession | null {
    for (let known = this.idle.pop(); known; known = this.idle.pop()) {
      clearTimeout(known.timer);
      if (known.session.reusable) return known.session;
      known.session.close();
    }
    return null;
  }

  keep(session: MailSession): void {
    const timer = setTimeout(() => {
      this.idle.splice(this.idle.indexOf(known), 1);
      session.close();
    }, IDLE_MS);
    timer.unref();
    const known = { session, timer };
    this.idle.push(known);
  }
}

/** What one transaction may carry together. */
function batchKey({ plan, order }: Errand): string {
  const { messid, made, sender, host } = order;
  return JSON.stringify([messid, made, sender, plan.key, plan.byMx ? host : ""]);
}

/** When somebody last wanted everything to be tried, or one domain, whatever was known against it. */
class Flushes {
  #all = Number.NEGATIVE_INFINITY;
  readonly #domains = new Map<string, number>();

  /** `host` in lower case; "" for all. */
  note(host: string, now: number): void {
    // Of more domains than can be remembered each may be the one that is wanted.
    const all = host === "" || this.#domains.size >= DESTINATIONS_MAX;
    if (all) this.#domains.clear();
    if (all) this.#all = now;
    else this.#domains.set(host, now);
  }

  last(host: string): number {
    return this.#domains.get(host.toLowerCase()) ?? this.#all;
  }
}

export class RemoteWorker {
  readonly #config: () => RemoteConfig;
  readonly #clock: GateClock;
  readonly #flow: Flow;
  readonly #destinations = new Map<string, Destination>();
  readonly #batches = new Map<string, Batch>();
  readonly #flushes = new Flushes();
  readonly #patience: Patience;
  /** Those who talk to a server about a message. */
  readonly #talking = new Set<MailSession>();
  /** What those do when we leave who wait for something else. */
  readonly #waiting = new Set<() => void>();
  #left = false;
  /** Deliveries at once, by the config that was read last. */
  #slots = Number.POSITIVE_INFINITY;

  /** `config` is asked for each message. */
  constructor(config: () => RemoteConfig, clock: GateClock, flow: Flow) {
    this.#config = config;
    this.#clock = clock;
    this.#flow = flow;
    this.#patience = new Patience(() => this.#slots, clock);
  }

  /** Delivers to one recipient. */
  async deliver(order: RemoteOrder): Promise<Report> {
    const { host, sender, recipient } = order;
    const config = this.#readConfig();
    if (!config) return words.BAD_CONTROL;
    const plan = findPlan(config, { host, sender, recipients: [recipient] });
    if ("status" in plan) return plan;
    const errand = { config, plan, order };
    const most = plan.options.recipients;
    if (most === 1) return deliveryReport(await this.#run(errand, () => [recipient]));
    const key = batchKey(errand);
    const known = this.#batches.get(key);
    if (known && known.recipients.length < most) {
      const at = known.recipients.push(recipient) - 1;
      return deliveryReport(await known.outcome, at);
    }
    const recipients = [recipient];
    const seal = () => {
      if (this.#batches.get(key)?.recipients === recipients) this.#batches.delete(key);
      return recipients;
    };
    const outcome = this.#run(errand, seal);
    this.#batches.set(key, { recipients, outcome });
    try {
      return deliveryReport(await outcome);
    } finally {
      // Whatever became of it, nobody else joins.
      seal();
    }
  }

  /** Null, which is said, when a control file is missing or cannot be understood. */
  #readConfig(): RemoteConfig | null {
    try {
      const config = this.#config();
      this.#slots = config.concurrency;
      return config;
    } catch (error) {
      warn((error as Error).message);
      return null;
    }
  }

  /**
   * What comes for a domain, or for all when `host` is "", is tried from now on whatever is known against its
   * servers. Who serves it by then turns out when the message has come.
   */
  flush(host: string): void {
    const domain = host.toLowerCase();
    this.#flushes.note(domain, this.#clock.now());
    for (const destination of this.#destinations.values()) {
      destination.regulateAgain(domain, this.#flow);
    }
  }

  /**
   * Nothing more will come. After a moment everybody under way is reported as to be tried again, but for messages
   * that are sent and not answered: they may have arrived.
   */
  leave(): void {
    this.#clock.after(LEAVE_MS, () => {
      this.#left = true;
      for (const leave of this.#waiting) leave();
      for (const session of this.#talking) {
        if (session.abandon()) this.#talking.delete(session);
      }
    });
  }

  /** `recipients` is asked as late as can be: until then others may join. */
  async #run(errand: Errand, recipients: () => string[]): Promise<Outcome> {
    const { config, plan, order } = errand;
    const destination = this.#destination(plan);
    const { gate } = destination;
    const flushed = this.#flushes.last(order.host);
    gate.forget(flushed);
    const admission = gate.acquire();
    destination.regulate(order.host, this.#flow);
    // What we leave behind at the gate keeps nobody out: nobody comes any more.
    const answer = await this.#unlessWeLeave(admission);
    if (answer !== "go") {
      recipients();
      const down = answer === "down" ? words.stillDown(destination.lastFailure) : answer;
      return words.outcome(down);
    }
    try {
      const { message } = order;
      const sender = config.senderFor(order.sender);
      const { eightBit, reuse } = plan.options;
      const session = await this.#unlessWeLeave(this.#session(errand, destination, flushed));
      // Who has answered may have more at once.
      destination.regulate(order.host, this.#flow);
      const transfer = { sender, recipients: recipients(), message, eightBit };
      if (!isSession(session)) return words.outcome(session);
      const outcome = await this.#transfer(session, transfer);
      if (session.reusable && session.count < reuse) destination.keep(session);
      else session.close();
      // The server had hung up on a connection that was kept: that says nothing about the message.
      const hungUp = outcome.untouched && session.count > 1;
      if (hungUp && !this.#left) return await this.#again(errand, destination, transfer);
      return outcome;
    } finally {
      gate.leave();
      destination.regulate(order.host, this.#flow);
    }
  }

  /** What `work` comes to; LEAVING when we leave before. */
  #unlessWeLeave<T>(work: Promise<T>): Promise<T | Report> {
    return new Promise((resolve, reject) => {
      const leave = () => resolve(words.LEAVING);
      this.#waiting.add(leave);
      const end = () => void this.#waiting.delete(leave);
      work.then(resolve, reject).finally(end);
    });
  }

  async #transfer(session: MailSession, transfer: Transfer): Promise<Outcome> {
    this.#talking.add(session);
    try {
      const outcome = await session.transfer(transfer);
      return this.#talking.has(session) ? outcome : words.outcome(words.LEAVING);
    } catch (error) {
      session.close();
      throw error;
    } finally {
      this.#talking.delete(session);
    }
  }

  async #session(
    errand: Errand,
    destination: Destination,
    flushed: number,
  ): Promise<MailSession | Report> {
    const known = destination.take();
    if (known) {
      destination.gate.succeeded();
      return known;
    }
    const session = await this.#open(errand, destination, flushed);
    if (isSession(session)) {
      destination.gate.succeeded();
      return session;
    }
    if (session.unreachable) {
      destination.lastFailure = session.report;
      destination.gate.failed();
    } else destination.gate.succeeded();
    return session.report;
  }

  #open(
    { config, plan }: Errand,
    { gate }: Destination,
    flushed?: number,
  ): Promise<MailSession | NotConnected> {
    const patience = (giveUp: () => void) => this.#patience.begin(giveUp, gate.failing);
    return openSession({ ...config, patience }, plan, flushed);
  }

  async #again(errand: Errand, destination: Destination, transfer: Transfer): Promise<Outcome> {
    const session = await this.#unlessWeLeave(this.#open(errand, destination));
    if ("text" in session) return words.outcome(session);
    if (!isSession(session)) return words.outcome(session.report);
    const outcome = await this.#transfer(session, transfer);
    session.close();
    return outcome;
  }

  #destination(plan: Plan): Destination {
    const known = this.#destinations.get(plan.key);
    if (known) {
      known.gate.limits = plan.options;
      return known;
    }
    if (this.#destinations.size >= DESTINATIONS_MAX) this.#forget();
    const destination = new Destination(plan, this.#clock);
    this.#destinations.set(plan.key, destination);
    return destination;
  }

  #forget(): void {
    const empty = [...this.#destinations].filter(([, { gate, idle }]) => {
      return gate.empty && idle.length === 0;
    });
    const unknown = empty.filter(([, { gate }]) => gate.forgettable);
    const leaving = unknown.length > 0 ? unknown : empty.slice(0, DESTINATIONS_FORGOTTEN);
    for (const [key] of leaving) this.#destinations.delete(key);
  }
}
