/**
 * What qmailanalog counts, of a log that may be larger than the memory: overall, by sender, recipient,
 * host, uid and reason, the delays; and the same over time. Definitions:
 *
 *   qtime   how long a message was in the queue
 *   ddelay  from a message's being queued to the end of a successful delivery
 *   xdelay  how long one delivery attempt took
 */

import type { OtherLine } from "../../../qmail/log/other-lines.ts";
import { FAILURE, SUCCESS } from "../../../qmail/log/send-scanner.ts";
import { Doors } from "./doors.ts";
import { DelayHistogram } from "./histogram.ts";
import {
  type Ending,
  type Matched,
  Matcher,
  type OpenDelivery,
  type OpenMessage,
} from "./matcher.ts";
import { addDelay, Series, Week } from "./series.ts";
import { naming, SUM, TallyTable } from "./tally.ts";

const EXACT = naming("", { fold: false });
const SAID = Buffer.from("_said:_");
const SLASH = 47;
const UNDERSCORE = 95;

export class Statistics implements Matched {
  readonly matcher = new Matcher(this);
  readonly #foldSuccesses: boolean;
  messages = 0;
  /** Recipients (delivered or failed) of messages that left the queue, and attempts for them. */
  recipients = 0;
  tries = 0;
  messageBytes = 0;
  /** Bytes times recipients that they were delivered to. */
  deliveredBytes = 0;
  /** Seconds. */
  qtime = 0;
  successes = 0;
  failures = 0;
  deferrals = 0;
  xdelay = 0;
  taken = 0;
  bounces = 0;
  tripleBounces = 0;
  restarts = 0;
  first = Number.POSITIVE_INFINITY;
  last = Number.NEGATIVE_INFINITY;
  readonly ddelay = new DelayHistogram();
  /** A row for each uid, with it in decimal as its name. */
  readonly uids = new TallyTable();
  readonly #uidRows = new Map<number, number>();
  readonly reasons = {
    success: new TallyTable(),
    failure: new TallyTable(),
    deferral: new TallyTable(),
  };
  readonly series = new Series();
  readonly week = new Week();
  /** Text of every warning and alert, without what changes. */
  readonly troubles = new Map<string, number>();
  readonly doors = new Doors();
  /** Why the doors refused. */
  readonly refusals = new Map<string, number>();

  /** `foldSuccesses`: what hosts say behind their code, new each time, makes no reason of its own. */
  constructor({ foldSuccesses = true }: { foldSuccesses?: boolean } = {}) {
    this.#foldSuccesses = foldSuccesses;
    // A uid is told by its row, and not more often than there are users.
    this.uids.moved = () => this.#uidRows.clear();
  }

  queued({ birth }: OpenMessage): void {
    this.taken++;
    const bucket = this.series.at(birth);
    bucket.new++;
    bucket.queue = Math.max(bucket.queue, this.matcher.messages.size);
    this.week.add(birth);
  }

  attempted({ message, start }: OpenDelivery, ending: Ending): void {
    const { done, outcome, bytes, from, to } = ending;
    const birth = message ? message.birth : start;
    const seconds = (done - start) / 1000;
    this.xdelay += seconds;
    this.#span(birth, done);
    const bucket = this.series.at(done);
    if (outcome === SUCCESS) {
      this.successes++;
      bucket.success++;
      const delay = (done - birth) / 1000;
      this.ddelay.add(delay);
      addDelay(bucket, delay);
      const end = this.#foldSuccesses ? foldSuccess(bytes, from, to) : to;
      countReason(this.reasons.success, seconds, bytes, from, end);
    } else if (outcome === FAILURE) {
      this.failures++;
      bucket.failure++;
      countReason(this.reasons.failure, seconds, bytes, from, to);
    } else {
      this.deferrals++;
      bucket.deferral++;
      countReason(this.reasons.deferral, seconds, bytes, from, to);
    }
    if (message) this.uids.add(this.#uid(message.uid), SUM.xdelay, seconds);
  }

  ended(message: OpenMessage, ms: number): void {
    this.messages++;
    this.messageBytes += message.bytes;
    this.deliveredBytes += message.bytes * message.successes;
    this.qtime += (ms - message.birth) / 1000;
    this.recipients += message.successes + message.failures;
    this.tries += message.successes + message.failures + message.deferrals;
    this.#span(message.birth, ms);
    countMessage(this.matcher.senders, message.sender, message);
    countMessage(this.uids, this.#uid(message.uid), message);
    const bucket = this.series.at(ms);
    bucket.ended++;
    bucket.bytes += message.bytes;
    bucket.queue = Math.max(bucket.queue, this.matcher.messages.size);
  }

  status(
    ms: number,
    use: { local: number; localMax: number; remote: number; remoteMax: number },
  ): void {
    const bucket = this.series.at(ms);
    if (use.local > bucket.local) bucket.local = use.local;
    if (use.remote > bucket.remote) bucket.remote = use.remote;
    if (use.localMax > bucket.localMax) bucket.localMax = use.localMax;
    if (use.remoteMax > bucket.remoteMax) bucket.remoteMax = use.remoteMax;
    const waiting = this.matcher.messages.size;
    if (waiting > bucket.queue) bucket.queue = waiting;
  }

  bounced(_: OpenMessage | null, ms: number): void {
    this.bounces++;
    this.series.at(ms).bounces++;
  }

  tripleBounce(): void {
    this.tripleBounces++;
  }

  exiting(): void {
    this.restarts++;
  }

  trouble(_: number, text: string): void {
    increase(this.troubles, text.replace(/\d+/g, "N").slice(0, 200));
  }

  other(line: OtherLine, ms: number): void {
    const { event, reason } = line;
    this.doors.add(line);
    const bucket = this.series.at(ms);
    if (event === "accepted") bucket.accepted++;
    if (event === "login-failed") bucket.refused++;
    if (event !== "refused" && event !== "denied") return;
    bucket.refused++;
    // Addresses make every reason another.
    increase(
      this.refusals,
      (reason ?? event).replace(/<[^>]*>|\b\S+@\S+|\d+\.\d+\.\d+\.\d+/g, "*").slice(0, 200),
    );
  }

  #span(from: number, to: number): void {
    if (from < this.first) this.first = from;
    if (to > this.last) this.last = to;
  }

  #uid(uid: number): number {
    const known = this.#uidRows.get(uid);
    if (known !== undefined) return known;
    const name = Buffer.from(String(uid));
    const row = this.uids.row(name, 0, name.length, EXACT);
    this.#uidRows.set(uid, row);
    return row;
  }
}

function countReason(
  table: TallyTable,
  seconds: number,
  bytes: Uint8Array,
  from: number,
  to: number,
): void {
  const row = table.row(bytes, from, to, EXACT);
  table.add(row, SUM.messages, 1);
  table.add(row, SUM.xdelay, seconds);
}

const KINDS_MAX = 1000;

function increase(counts: Map<string, number>, name: string): void {
  const key = counts.has(name) || counts.size < KINDS_MAX ? name : "(others)";
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function countMessage(table: TallyTable, row: number, message: OpenMessage): void {
  const { bytes, successes, failures, deferrals } = message;
  table.add(row, SUM.messages, 1);
  table.add(row, SUM.bytes, bytes);
  table.add(row, SUM.sbytes, bytes * successes);
  table.add(row, SUM.rbytes, bytes * (successes + failures));
  table.add(row, SUM.successes, successes);
  table.add(row, SUM.failures, failures);
  table.add(row, SUM.deferrals, deferrals);
}

/**
 * Where the part of a success's text ends that tells more than one delivery: hosts say a new queue id
 * each time, and forwards a new qp.
 */
function foldSuccess(bytes: Uint8Array, from: number, to: number): number {
  if (bytes[from] === 100 && bytes[from + 3] === UNDERSCORE) {
    // did_0+1+0/qp_123/
    let at = from;
    while (at < to && bytes[at] !== SLASH) at++;
    return Math.min(at + 1, to);
  }
  const end = to - SAID.length;
  for (let at = from; at < end; at++) {
    if (bytes[at] !== UNDERSCORE || bytes[at + 1] !== SAID[1]) continue;
    if (bytes[at + 5] === SAID[5] && bytes[at + 6] === UNDERSCORE) {
      return Math.min(at + SAID.length + 3, to);
    }
  }
  return to;
}
