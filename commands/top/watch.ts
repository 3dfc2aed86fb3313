/** Looks at everything that there is to see: the log, the queue, the processes, who is connected. */

import { readFileSync } from "node:fs";
import { type Held, readHeld } from "../../qmail/queue/held.ts";
import { readMessage } from "../../qmail/queue/queue-read.ts";
import { ask, type ServiceStatus } from "../../qmail/supervise/control.ts";
import { type FedLine, LogFeed } from "../log/feed.ts";
import { livePaths } from "../log/live.ts";
import { filterOf } from "./arrange.ts";
import { Connections } from "./connections.ts";
import { doorName, TopModel } from "./model.ts";
import { messageRow } from "./panels.ts";
import { QueueCounter } from "./queue-counts.ts";
import { QueueMessages } from "./queue-messages.ts";
import { WINDOWS } from "./rates.ts";
import { SendStatus } from "./send-status.ts";
import { messageRows, type Snapshot, snapshot, underWayNow } from "./snapshot.ts";

/** What is read back of each log at the start, at most: two seconds' work. */
const BACK_BYTES = 32 * 1024 * 1024;
/** Services come and go seldom. */
const SERVICES_MS = 5000;

/** More of them wait for the next look. */
const SENDERS_AT_ONCE = 100;

export class Watch {
  readonly #home: string;
  readonly #me: string;
  readonly #model: TopModel;
  readonly #feed: LogFeed;
  readonly #connections = new Connections();
  readonly #counter: QueueCounter;
  readonly messages: QueueMessages;
  readonly #send: SendStatus;
  #held: Held = new Map();
  readonly #senders = new Map<string, string | null>();
  #services: readonly ServiceStatus[] | null = null;
  #servicesAsked = Number.NEGATIVE_INFINITY;
  #first = Number.POSITIVE_INFINITY;

  constructor(home: string, files: readonly string[]) {
    const since = Date.now() - WINDOWS["5m"];
    this.#home = home;
    this.#me = firstLine(`${home}/control/me`);
    this.#model = new TopModel(since);
    const paths = () => livePaths(home, files);
    this.#feed = new LogFeed(paths, { since, bytes: BACK_BYTES }, (line) => this.#take(line));
    this.#counter = new QueueCounter(`${home}/queue`);
    this.messages = new QueueMessages(`${home}/queue`);
    this.#send = new SendStatus(home);
  }

  /** Takes in what is new; with `patient` everything is as new as it gets when this resolves. */
  async look(patient: boolean): Promise<void> {
    await this.#feed.read(Date.now());
    // What the bound has left out is no silence.
    if (!this.#feed.whole) this.#model.seen = Math.max(this.#model.seen, this.#first);
    const counted = this.#counter.count(Date.now);
    if (patient) await counted;
    await Promise.all([this.#askServices(), this.#send.ask(Date.now())]);
  }

  /** Reads the messages that have the words of `filter`. */
  async readMessages(filter: string): Promise<void> {
    this.#held = heldIn(this.#home);
    const rowOf = messageRows(this.#model, this.#held, Date.now());
    const wanted = filterOf(filter);
    await this.messages.read(Date.now, filter, (message) => wanted(messageRow(rowOf(message))));
  }

  /** What there is to show now. */
  snapshot(): Snapshot {
    this.#findSenders();
    const services = this.#services;
    const doors = (services ?? []).flatMap(({ name, pid }) =>
      pid === null || name === "qmail-send" ? [] : [{ name: doorName(name, name), pid }],
    );
    const { messages, more } = this.messages;
    const around = {
      home: this.#home,
      me: this.#me,
      queue: this.#counter.counts,
      messages,
      moreMessages: more,
      connections: this.#connections.read(doors),
      services,
      send: this.#send.status,
      held: this.#held,
      senders: this.#senders,
    };
    return snapshot(this.#model, around, Date.now());
  }

  close(): void {
    this.#feed.close();
    this.#send.close();
  }

  /** The log begins after the message, often: its files know the sender still. */
  #findSenders(): void {
    const underWay = new Set(underWayNow(this.#model, this.#send.status).map(({ id }) => id));
    for (const id of this.#senders.keys()) if (!underWay.has(id)) this.#senders.delete(id);
    const unknown = [...underWay].filter(
      (id) => !this.#senders.has(id) && !this.#model.messages.has(id),
    );
    for (const id of unknown.slice(0, SENDERS_AT_ONCE)) {
      this.#senders.set(id, senderOf(`${this.#home}/queue`, id));
    }
  }

  #take({ ms, text, service, tag }: FedLine): void {
    if (ms < this.#first) this.#first = ms;
    this.#model.line(ms, text, service, tag);
  }

  async #askServices(): Promise<void> {
    if (Date.now() - this.#servicesAsked < SERVICES_MS) return;
    this.#servicesAsked = Date.now();
    try {
      this.#services = (await ask(this.#home, { type: "status" })).services;
    } catch {
      // None of ours, stopped, or not for us to ask: there is enough to see without.
      this.#services = null;
    }
  }
}

function senderOf(queue: string, id: string): string | null {
  try {
    return readMessage(queue, id)?.sender ?? null;
  } catch {
    // Not for us to read.
    return null;
  }
}

function heldIn(home: string): Held {
  try {
    return readHeld(home);
  } catch {
    // Not for us to read.
    return new Map();
  }
}

function firstLine(path: string): string {
  try {
    return readFileSync(path, "latin1").split("\n", 1)[0] ?? "";
  } catch {
    return "";
  }
}
