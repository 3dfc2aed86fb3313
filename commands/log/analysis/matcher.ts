/**
 * Puts together what qmail-send says in pieces: messages with their deliveries, as qmailanalog's
 * matchup does. Holds what is open, and nothing else.
 */

import { DEFERRAL, FAILURE, type SendLines, SUCCESS } from "../../../qmail/log/send-scanner.ts";
import { live, type Tally, TallyTable } from "./tally.ts";

export interface OpenMessage {
  readonly id: number;
  /** Milliseconds since 1970. */
  readonly birth: number;
  readonly bytes: number;
  readonly qp: number;
  readonly uid: number;
  readonly sender: Tally;
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
  readonly recipient: Tally;
  readonly host: Tally;
}

/** A delivery attempt that is over. */
export interface Attempt extends OpenDelivery {
  /** SUCCESS, DEFERRAL or FAILURE. */
  readonly outcome: number;
  readonly done: number;
  /** Where in the bytes the reason is. */
  readonly from: number;
  readonly to: number;
}

/** Who is told what came together. Unwanted events are left out. */
export interface Matched {
  queued?(message: OpenMessage): void;
  started?(delivery: OpenDelivery): void;
  attempted?(attempt: Attempt, bytes: Uint8Array): void;
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

const FOLDED = { prefix: "", fold: true };
const LOCAL = { prefix: "local.", fold: true };
const REMOTE = { prefix: "remote.", fold: true };
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

  constructor(listener: Matched) {
    this.#listener = listener;
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
      sender: this.senders.get(this.bytes, from, to, FOLDED),
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
      recipient: this.recipients.get(this.bytes, from, to, channel),
      host: this.hosts.get(this.bytes, at + 1, to, at < from ? channel : FOLDED),
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
    const { message, local, start, recipient, host } = delivery;
    if (message) {
      if (outcome === SUCCESS) message.successes++;
      else if (outcome === FAILURE) message.failures++;
      else message.deferrals++;
    }
    const attempt: Attempt = {
      number,
      message,
      local,
      start,
      recipient,
      host,
      outcome,
      done: this.ms,
      from,
      to,
    };
    const xdelay = (this.ms - start) / 1000;
    count(live(recipient), attempt, xdelay);
    count(live(host), attempt, xdelay);
    if (message) live(message.sender).xdelay += xdelay;
    this.#listener.attempted?.(attempt, bytes);
  }
}

function count(tally: Tally, { outcome, message }: Attempt, xdelay: number): void {
  tally.xdelay += xdelay;
  if (outcome === SUCCESS) {
    tally.successes++;
    tally.sbytes += message ? message.bytes : 0;
  } else if (outcome === FAILURE) tally.failures++;
  else tally.deferrals++;
}

/** Where the last @ is; before `from` when there is none. */
function lastAt(bytes: Uint8Array, from: number, to: number): number {
  let at = to - 1;
  while (at >= from && bytes[at] !== AT) at--;
  return at;
}
