/**
 * Puts together what qmail-send says in pieces: messages with their deliveries, as qmailanalog's
 * matchup does. Holds what is open, and nothing else.
 */

import { DEFERRAL, FAILURE, type SendLines, SUCCESS } from "../../../qmail/log/send-scanner.ts";
import { naming, SUM, TallyTable } from "./tally.ts";

export interface OpenMessage {
  readonly id: number;
  /** Milliseconds since 1970. */
  readonly birth: number;
  readonly bytes: number;
  readonly qp: number;
  readonly uid: number;
  /** Its row in `senders`. */
  sender: number;
  successes: number;
  failures: number;
  deferrals: number;
  /** When its first delivery began; NaN before. */
  tried: number;
}

export interface OpenDelivery {
  readonly number: number;
  /** Null when the log begins after the message. */
  readonly message: OpenMessage | null;
  readonly local: boolean;
  readonly start: number;
  /** Rows in `recipients` and `hosts`. */
  recipient: number;
  host: number;
}

/** How a delivery attempt ended. */
export interface Ending {
  /** SUCCESS, DEFERRAL or FAILURE. */
  readonly outcome: number;
  readonly done: number;
  /** The reason, from `from` to `to`. */
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
}

/** Who is told what came together. Unwanted events are left out. */
export interface Matched {
  queued?(message: OpenMessage): void;
  started?(delivery: OpenDelivery): void;
  /** `ending` is another's when the call returns. */
  attempted?(delivery: OpenDelivery, ending: Ending): void;
  ended?(message: OpenMessage, ms: number): void;
  bounced?(message: OpenMessage | null, ms: number): void;
  status?(
    ms: number,
    use: { local: number; localMax: number; remote: number; remoteMax: number },
  ): void;
  tripleBounce?(ms: number): void;
  exiting?(ms: number): void;
  trouble?(ms: number, text: string): void;
}

const FOLDED = naming("", { fold: true });
const LOCAL = naming("local.", { fold: true });
const REMOTE = naming("remote.", { fold: true });
const MANGLED = Buffer.from("report_mangled");
const AT = 64;

export class Matcher implements SendLines {
  readonly #listener: Matched;
  readonly messages = new Map<number, OpenMessage>();
  readonly #deliveries = new Map<number, OpenDelivery>();
  readonly senders = new TallyTable();
  readonly recipients = new TallyTable();
  readonly hosts = new TallyTable();
  /** Of the line being read. */
  ms = 0;
  bytes: Uint8Array = new Uint8Array(0);
  readonly #ending = { outcome: SUCCESS, done: 0, bytes: this.bytes, from: 0, to: 0 };

  constructor(listener: Matched) {
    this.#listener = listener;
    this.senders.moved = (now) => {
      for (const message of this.#known()) message.sender = now[message.sender] as number;
    };
    this.recipients.moved = (now) => {
      for (const open of this.#deliveries.values()) {
        open.recipient = now[open.recipient] as number;
      }
    };
    this.hosts.moved = (now) => {
      for (const open of this.#deliveries.values()) open.host = now[open.host] as number;
    };
  }

  newMsg(id: number): void {
    this.messages.delete(id);
  }

  infoMsg(
    id: number,
    info: { bytes: number; qp: number; uid: number },
    from: number,
    to: number,
  ): void {
    const message: OpenMessage = {
      id,
      birth: this.ms,
      bytes: info.bytes,
      qp: info.qp,
      uid: info.uid,
      sender: this.senders.row(this.bytes, from, to, FOLDED),
      successes: 0,
      failures: 0,
      deferrals: 0,
      tried: Number.NaN,
    };
    this.messages.set(id, message);
    this.#listener.queued?.(message);
  }

  starting(number: number, id: number, local: boolean, from: number, to: number): void {
    const message = this.messages.get(id) ?? null;
    if (message && Number.isNaN(message.tried)) message.tried = this.ms;
    const channel = local ? LOCAL : REMOTE;
    const at = lastAt(this.bytes, from, to);
    const delivery: OpenDelivery = {
      number,
      message,
      local,
      start: this.ms,
      recipient: this.recipients.row(this.bytes, from, to, channel),
      host: this.hosts.row(this.bytes, at + 1, to, at < from ? channel : FOLDED),
    };
    this.#deliveries.set(number, delivery);
    this.#listener.started?.(delivery);
  }

  delivery(number: number, outcome: number, from: number, to: number): void {
    this.#finish(number, outcome, this.bytes, from, to);
  }

  mangled(number: number): void {
    this.#finish(number, DEFERRAL, MANGLED, 0, MANGLED.length);
  }

  status(local: number, localMax: number, remote: number, remoteMax: number): void {
    this.#listener.status?.(this.ms, { local, localMax, remote, remoteMax });
  }

  bounceMsg(id: number): void {
    this.#listener.bounced?.(this.messages.get(id) ?? null, this.ms);
  }

  endMsg(id: number): void {
    const message = this.messages.get(id);
    if (!message) return;
    this.messages.delete(id);
    this.#listener.ended?.(message, this.ms);
  }

  tripleBounce(): void {
    this.#listener.tripleBounce?.(this.ms);
  }

  /** Its deliveries end with qmail-send; the messages stay in the queue. */
  exiting(): void {
    this.#deliveries.clear();
    this.#listener.exiting?.(this.ms);
  }

  trouble(from: number, to: number): void {
    this.#listener.trouble?.(
      this.ms,
      Buffer.from(this.bytes.subarray(from, to)).toString("latin1"),
    );
  }

  #finish(number: number, outcome: number, bytes: Uint8Array, from: number, to: number): void {
    const delivery = this.#deliveries.get(number);
    if (!delivery) return;
    this.#deliveries.delete(number);
    const { message } = delivery;
    if (message) {
      if (outcome === SUCCESS) message.successes++;
      else if (outcome === FAILURE) message.failures++;
      else message.deferrals++;
    }
    const ending = this.#ending;
    ending.outcome = outcome;
    ending.done = this.ms;
    ending.bytes = bytes;
    ending.from = from;
    ending.to = to;
    this.attempted(delivery, ending);
  }

  /** A message that came and has ended, its deliveries told apart from it. */
  whole(message: OpenMessage, ms: number): void {
    this.#listener.queued?.(message);
    this.#listener.ended?.(message, ms);
  }

  /** The row of a sender's name. */
  senderRow(name: string): number {
    const bytes = Buffer.from(name, "latin1");
    return this.senders.row(bytes, 0, bytes.length, FOLDED);
  }

  /** The rows of `channel.address`. */
  recipientRows(name: string): { recipient: number; host: number } {
    const bytes = Buffer.from(name, "latin1");
    return {
      recipient: this.recipients.row(bytes, 0, bytes.length, FOLDED),
      host: this.hosts.row(bytes, lastAt(bytes, 0, bytes.length) + 1, bytes.length, FOLDED),
    };
  }

  /** Counts a delivery that is over. */
  attempted(delivery: OpenDelivery, ending: Ending): void {
    const { message, recipient, host, start } = delivery;
    const xdelay = (ending.done - start) / 1000;
    const bytes = message ? message.bytes : 0;
    count(this.recipients, recipient, ending.outcome, xdelay, bytes);
    count(this.hosts, host, ending.outcome, xdelay, bytes);
    if (message) this.senders.add(message.sender, SUM.xdelay, xdelay);
    this.#listener.attempted?.(delivery, ending);
  }

  /** Messages that a row of `senders` is kept for: also those that have ended with deliveries under way. */
  *#known(): Iterable<OpenMessage> {
    const known = new Set(this.messages.values());
    for (const { message } of this.#deliveries.values()) if (message) known.add(message);
    yield* known;
  }
}

function count(
  table: TallyTable,
  row: number,
  outcome: number,
  xdelay: number,
  bytes: number,
): void {
  table.add(row, SUM.xdelay, xdelay);
  if (outcome === SUCCESS) {
    table.add(row, SUM.successes, 1);
    table.add(row, SUM.sbytes, bytes);
  } else table.add(row, outcome === FAILURE ? SUM.failures : SUM.deferrals, 1);
}

/** Where the last @ is; before `from` when there is none. */
function lastAt(bytes: Uint8Array, from: number, to: number): number {
  let at = to - 1;
  while (at >= from && bytes[at] !== AT) at--;
  return at;
}
