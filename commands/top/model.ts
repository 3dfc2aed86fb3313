/**
 * What the log says is going on: rates, deliveries under way, destinations, errors, doors. Fed with lines and
 * their times; asks no clock and opens no file. Everything it holds is bounded.
 */

import { classify, type OtherLine } from "../../qmail/log/other-lines.ts";
import {
  type Channel,
  type LogLine,
  type Outcome,
  parseLogLine,
  type Use,
} from "../../qmail/send/log.ts";
import { parseSmtpdLine } from "../../qmail/smtpd/log.ts";
import { groupOf, readable } from "../log/reason.ts";
import { Rate } from "./rates.ts";
import { OTHERS, Slices } from "./slices.ts";

/** Messages that are remembered; the oldest are forgotten first. */
const MESSAGES_MAX = 20_000;
/** More than any concurrency that makes sense: a log of which the ends are missing must not fill the memory. */
const DELIVERIES_MAX = 20_000;

export interface SeenMessage {
  readonly id: string;
  readonly sender: string;
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly birth: number;
}

/** What became of a message's last delivery that did not succeed, and how many there were. */
export interface Trouble {
  deferrals: number;
  text: string;
  channel: Channel;
  /** Milliseconds since 1970. */
  time: number;
}

export interface UnderWay {
  readonly delivery: number;
  readonly id: string;
  readonly channel: Channel;
  readonly recipient: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

export interface Destination {
  delivered: number;
  deferred: number;
  failed: number;
  /** Of all tries together, and of the longest: milliseconds. */
  took: number;
  longest: number;
  /** What it said when it did not take one; empty when it always did. */
  error: string;
}

export type ErrorKind = "deferral" | "failure" | "refusal" | "warning" | "alert" | "trouble";

export interface ErrorGroup {
  kind: ErrorKind;
  count: number;
  last: number;
  /** The last of them, whole. */
  example: string;
  /** Whom that was about: recipient, or client. */
  whom: string;
  /** The message, where it was one. */
  id: string;
}

export interface DoorCounts {
  accepted: number;
  refused: number;
  denied: number;
  logins: number;
  badLogins: number;
  ended: number;
}

const DOORS = new Set(["smtpd", "submission", "qmtpd", "qmqpd", "ofmipd", "pop3d"]);

const OUTCOMES = { success: "delivered", deferral: "deferred", failure: "failed" } as const;

export class TopModel {
  readonly rates = {
    in: new Rate(),
    delivered: new Rate(),
    deferred: new Rate(),
    failed: new Rate(),
  };
  /** Since when everything is known, milliseconds since 1970. */
  seen: number;
  /** As qmail-send said last; null before. */
  use: Readonly<Record<Channel, Use>> | null = null;
  readonly underWay = new Map<number, UnderWay>();
  readonly messages = new Map<string, SeenMessage>();
  readonly troubles = new Map<string, Trouble>();
  readonly destinations = new Slices<Destination>(newDestination);
  readonly errors = new Slices<ErrorGroup>(newGroup);
  /** By service, and by service and client's address. */
  readonly doors = new Slices<DoorCounts>(newDoor);
  readonly clients = new Slices<DoorCounts>(newDoor);
  /** What tcpserver says of its connections, by service. */
  readonly connections = new Map<string, Use>();

  constructor(seen: number) {
    this.seen = seen;
  }

  /** A line without its stamp, of the log of `service`, where syslog's `tag` may tell more. */
  line(ms: number, text: string, service: string, tag = ""): void {
    const parsed = parseLogLine(text);
    if (parsed.type !== "other") this.#sent(ms, parsed);
    else this.#other(ms, text, service, tag);
  }

  #sent(ms: number, line: LogLine): void {
    switch (line.type) {
      case "info": {
        const { id, sender, bytes } = line;
        this.rates.in.add(ms);
        this.troubles.delete(id);
        remember(this.messages, id, { id, sender, bytes, birth: ms });
        return;
      }
      case "starting": {
        const { delivery, id, channel, recipient } = line;
        // Numbers begin again when qmail-send does: what it had begun before is no longer under way.
        if (this.underWay.has(delivery)) this.underWay.clear();
        if (this.underWay.size >= DELIVERIES_MAX) return;
        this.underWay.set(delivery, { delivery, id, channel, recipient, since: ms });
        return;
      }
      case "delivery":
        this.#finished(ms, line.delivery, line.outcome, readable(line.text));
        return;
      case "status": {
        const { local, remote } = line;
        this.use = { local, remote };
        if (local.used === 0) this.#noneUnderWay("local");
        if (remote.used === 0) this.#noneUnderWay("remote");
        return;
      }
      case "end":
        this.messages.delete(line.id);
        this.troubles.delete(line.id);
        return;
      case "exiting":
        this.underWay.clear();
        return;
      default:
        return;
    }
  }

  #finished(ms: number, delivery: number, outcome: Outcome, text: string): void {
    this.rates[OUTCOMES[outcome]].add(ms);
    const begun = this.underWay.get(delivery);
    this.underWay.delete(delivery);
    if (begun) this.#arrived(ms, begun, outcome, text);
    if (outcome === "success") return;
    const { id = "", recipient = "" } = begun ?? {};
    this.#error(ms, { kind: outcome, text, whom: recipient, id });
    if (!begun) return;
    const deferrals = (this.troubles.get(id)?.deferrals ?? 0) + Number(outcome === "deferral");
    remember(this.troubles, id, { deferrals, text, channel: begun.channel, time: ms });
  }

  #arrived(ms: number, { channel, recipient, since }: UnderWay, outcome: Outcome, text: string) {
    const sums = this.destinations.at(ms, destinationOf(channel, recipient));
    sums[OUTCOMES[outcome]]++;
    const took = Math.max(0, ms - since);
    sums.took += took;
    sums.longest = Math.max(sums.longest, took);
    if (outcome !== "success") sums.error = text;
  }

  /** A slot that is free holds nothing: what we thought to be in it ended unseen. */
  #noneUnderWay(channel: Channel): void {
    for (const [number, delivery] of this.underWay) {
      if (delivery.channel === channel) this.underWay.delete(number);
    }
  }

  #other(ms: number, text: string, service: string, tag: string): void {
    const status = /^(?:tcp|ssl)server: status: (\d+)\/(\d+)$/.exec(text);
    if (status) {
      this.connections.set(service, { used: Number(status[1]), limit: Number(status[2]) });
      return;
    }
    const mangled = /^delivery (\d+): report mangled, will defer$/.exec(text)?.[1];
    if (mangled !== undefined) {
      this.#finished(ms, Number(mangled), "deferral", "report mangled");
      return;
    }
    const [, kind, why] = /^(warning|alert): (.*)$/.exec(text) ?? [];
    if (why !== undefined) {
      this.#error(ms, { kind: kind as ErrorKind, text: why, whom: "", id: "" });
      return;
    }
    const line = classify(text, tag);
    if (line) this.#door(ms, line, doorName(service, line.program), text);
  }

  #door(ms: number, line: OtherLine, door: string, text: string): void {
    const { ip = "" } = line;
    const name = DOOR_COUNTS[line.event];
    if (name !== undefined) {
      this.doors.at(ms, door)[name]++;
      if (ip !== "") this.clients.at(ms, `${door} ${ip}`)[name]++;
    }
    if (line.event === "login-failed") {
      this.#error(ms, { kind: "refusal", text: `${door}: login failed`, whom: who(line), id: "" });
    } else if (line.event === "refused" || line.event === "denied") {
      // Who was denied by a rule is told below: the rules are many.
      const why = `${door}: ${line.event === "denied" ? "denied" : reasonOf(line, text)}`;
      this.#error(ms, { kind: "refusal", text: why, whom: who(line), id: "" });
    } else if (line.event === "trouble") {
      this.#error(ms, { kind: "trouble", text: reasonOf(line, text), whom: ip, id: "" });
    }
  }

  #error(
    ms: number,
    { kind, text, whom, id }: { kind: ErrorKind; text: string; whom: string; id: string },
  ): void {
    const group = this.errors.at(ms, `${kind} ${groupOf(text)}`);
    group.kind = kind;
    group.count++;
    if (ms < group.last) return;
    Object.assign(group, { last: ms, example: text, whom, id });
  }
}

const DOOR_COUNTS: Partial<Record<OtherLine["event"], keyof DoorCounts>> = {
  accepted: "accepted",
  refused: "refused",
  denied: "denied",
  login: "logins",
  "login-failed": "badLogins",
  ended: "ended",
};

/** The host that a recipient's mail goes to; what is delivered here has one name. */
export function destinationOf(channel: Channel, recipient: string): string {
  if (channel === "local") return "(local)";
  return recipient.slice(recipient.lastIndexOf("@") + 1).toLowerCase();
}

/** Adds one tally of a destination to another. */
export function addDestination(into: Destination, sums: Destination): void {
  into.delivered += sums.delivered;
  into.deferred += sums.deferred;
  into.failed += sums.failed;
  into.took += sums.took;
  into.longest = Math.max(into.longest, sums.longest);
  if (sums.error !== "") into.error = sums.error;
}

/** Adds a later group of errors to an earlier one. */
export function addErrors(into: ErrorGroup, later: ErrorGroup): void {
  const count = into.count + later.count;
  Object.assign(into, later, { count });
}

/** Adds what a door did to what it did before. */
export function addDoor(into: DoorCounts, counts: DoorCounts): void {
  for (const name of Object.keys(counts) as (keyof DoorCounts)[]) into[name] += counts[name];
}

/** Services are named as qmail's programs, log directories of others as they like. */
export function doorName(service: string, program: string): string {
  const name = service.replace(/^qmail-/, "");
  return DOORS.has(name) ? name : program;
}

function newDestination(): Destination {
  return { delivered: 0, deferred: 0, failed: 0, took: 0, longest: 0, error: "" };
}

function newGroup(): ErrorGroup {
  return { kind: "trouble", count: 0, last: 0, example: OTHERS, whom: "", id: "" };
}

function newDoor(): DoorCounts {
  return { accepted: 0, refused: 0, denied: 0, logins: 0, badLogins: 0, ended: 0 };
}

function reasonOf({ event, reason }: OtherLine, text: string): string {
  const ours = parseSmtpdLine(text);
  if (ours?.type === "warning") return ours.text;
  return ours?.fields.reply ?? reason ?? event;
}

function who({ ip, from, to, user }: OtherLine): string {
  return [ip, user, from && `from ${from}`, to && `to ${to}`].filter(Boolean).join(" ");
}

function remember<T>(map: Map<string, T>, id: string, value: T): void {
  map.delete(id);
  map.set(id, value);
  if (map.size <= MESSAGES_MAX) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    break;
  }
}
