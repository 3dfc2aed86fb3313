/** Looks out, while a log is read, for what deserves attention; problems.ts says what it found. */

import type { OtherLine } from "../../../qmail/log/other-lines.ts";
import { DEFERRAL, FAILURE } from "../../../qmail/log/send-scanner.ts";
import { latin1 } from "../../../qmail/log/stamp.ts";
import { Doors } from "./doors.ts";
import {
  type Ending,
  type Matched,
  Matcher,
  type OpenDelivery,
  type OpenMessage,
} from "./matcher.ts";

export interface HostCounts {
  tries: number;
  bad: number;
  seconds: number;
}

interface SenderHours {
  total: number;
  hours: number;
  hour: number;
  now: number;
  most: number;
  mostAt: number;
}

/** Names kept at most; a log with more of them is judged by the first. */
const NAMES_MAX = 100_000;
const DNS = /#[45]\.1\.2|CNAME_lookup|couldn't_find_any_host/;
const LOOP = /#5\.4\.6|looping|too_many_hops/;
const QUEUE_TROUBLE = /qq_(?:write_error|trouble|temporary|out_of_memory)|disk_full/;

export class Lookout implements Matched {
  readonly matcher = new Matcher(this);
  first = Number.NaN;
  last = Number.NaN;
  taken = 0;
  /** Seconds at the limit, and of all, by channel. */
  readonly busy = { local: 0, remote: 0, total: 0, localMax: 0, remoteMax: 0 };
  #use = { ms: Number.NaN, local: false, remote: false };
  /** Messages whose first delivery began late though deliveries were free, and the latest. */
  late = 0;
  latest = 0;
  tried = 0;
  /** The queue's length, at most and at the first and last. */
  most = 0;
  remoteTries = 0;
  dnsTrouble = 0;
  readonly dnsHosts = new Set<string>();
  loops = 0;
  loopRecipients = new Set<string>();
  queueTrouble = 0;
  readonly hosts = new Map<string, HostCounts>();
  remoteSeconds = 0;
  bounces = 0;
  bouncesOut = 0;
  doubleBounces = 0;
  triples = 0;
  alerts = new Map<string, number>();
  starts = 0;
  readonly senders = new Map<string, SenderHours>();
  readonly doors = new Doors();
  /** What the doors complained of. */
  readonly doorTroubles = new Map<string, number>();

  queued(message: OpenMessage): void {
    this.#span(message.birth);
    this.taken++;
    const waiting = this.matcher.messages.size;
    if (waiting > this.most) this.most = waiting;
    const sender = this.matcher.senders.name(message.sender);
    if (sender === "#@[]") this.doubleBounces++;
    if (sender !== "" && sender !== "#@[]") this.#countSender(sender, message.birth);
  }

  started({ message, start, local }: OpenDelivery): void {
    if (!message || message.tried !== start) return;
    this.tried++;
    const wait = (start - message.birth) / 1000;
    const full = local ? this.#use.local : this.#use.remote;
    if (wait < 30 || full) return;
    this.late++;
    if (wait > this.latest) this.latest = wait;
  }

  attempted({ local, host, recipient, message, start }: OpenDelivery, ending: Ending): void {
    const { outcome, done, bytes, from, to } = ending;
    const { senders, hosts, recipients } = this.matcher;
    this.#span(done);
    if (!local) {
      this.remoteTries++;
      this.#countHost(hosts.name(host), outcome, (done - start) / 1000);
      const sender = message ? senders.name(message.sender) : "?";
      if (sender === "" || sender === "#@[]") this.bouncesOut++;
    }
    if (outcome !== DEFERRAL && outcome !== FAILURE) return;
    const reason = latin1(bytes, from, to);
    if (DNS.test(reason)) {
      this.dnsTrouble++;
      if (this.dnsHosts.size < NAMES_MAX) this.dnsHosts.add(hosts.name(host));
    }
    if (LOOP.test(reason)) {
      this.loops++;
      if (this.loopRecipients.size < 10)
        this.loopRecipients.add(recipients.name(recipient).replace(/^\w+\./, ""));
    }
    if (QUEUE_TROUBLE.test(reason)) this.queueTrouble++;
  }

  bounced(): void {
    this.bounces++;
  }

  tripleBounce(): void {
    this.triples++;
  }

  exiting(): void {
    this.starts++;
    this.#use = { ms: Number.NaN, local: false, remote: false };
  }

  trouble(_: number, text: string): void {
    const kind = text.replace(/\d+/g, "N").slice(0, 120);
    if (this.alerts.size < 100 || this.alerts.has(kind)) {
      this.alerts.set(kind, (this.alerts.get(kind) ?? 0) + 1);
    }
  }

  status(
    ms: number,
    use: { local: number; localMax: number; remote: number; remoteMax: number },
  ): void {
    if (!Number.isNaN(this.#use.ms)) {
      const seconds = Math.max(0, ms - this.#use.ms) / 1000;
      this.busy.total += seconds;
      if (this.#use.local) this.busy.local += seconds;
      if (this.#use.remote) this.busy.remote += seconds;
    }
    this.busy.localMax = use.localMax;
    this.busy.remoteMax = use.remoteMax;
    this.#use = {
      ms,
      local: use.localMax > 0 && use.local >= use.localMax,
      remote: use.remoteMax > 0 && use.remote >= use.remoteMax,
    };
  }

  other(line: OtherLine): void {
    this.doors.add(line);
    if (line.event !== "trouble") return;
    const kind = `${line.program}: ${(line.reason ?? "").replace(/\d+/g, "N")}`.slice(0, 120);
    if (this.doorTroubles.size < 100 || this.doorTroubles.has(kind)) {
      this.doorTroubles.set(kind, (this.doorTroubles.get(kind) ?? 0) + 1);
    }
  }

  #span(ms: number): void {
    if (Number.isNaN(this.first)) this.first = ms;
    this.last = ms;
  }

  #countHost(name: string, outcome: number, seconds: number): void {
    this.remoteSeconds += seconds;
    const known = this.hosts.get(name);
    if (!known && this.hosts.size >= NAMES_MAX) return;
    const counts = known ?? { tries: 0, bad: 0, seconds: 0 };
    if (!known) this.hosts.set(name, counts);
    counts.tries++;
    counts.seconds += seconds;
    if (outcome === DEFERRAL) counts.bad++;
  }

  #countSender(name: string, ms: number): void {
    const hour = Math.floor(ms / 3_600_000);
    const known = this.senders.get(name);
    if (!known) {
      if (this.senders.size < NAMES_MAX) {
        this.senders.set(name, { total: 1, hours: 1, hour, now: 1, most: 1, mostAt: ms });
      }
      return;
    }
    known.total++;
    if (hour !== known.hour) {
      known.hour = hour;
      known.hours++;
      known.now = 0;
    }
    known.now++;
    if (known.now > known.most) {
      known.most = known.now;
      known.mostAt = hour * 3_600_000;
    }
  }
}
