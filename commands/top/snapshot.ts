/** Everything that is shown, at one moment: what the log, the queue, the kernel and the supervisor say, put together. Pure. */

import type { Held } from "../../qmail/queue/held.ts";
import type { QueuedMessage } from "../../qmail/queue/queue-read.ts";
import type { Status } from "../../qmail/send/action-protocol.ts";
import type { Channel, Use } from "../../qmail/send/log.ts";
import { nextRetry } from "../../qmail/send/retry.ts";
import type { ServiceStatus } from "../../qmail/supervise/control.ts";
import { nextTry, type State, statesOf } from "../queue/states.ts";
import type { DoorConnections } from "./connections.ts";
import {
  addDestination,
  addDoor,
  addErrors,
  type Destination,
  type DoorCounts,
  destinationOf,
  doorName,
  type ErrorGroup,
  type TopModel,
  type Trouble,
  type UnderWay,
} from "./model.ts";
import type { QueueCounts } from "./queue-counts.ts";
import { WINDOWS, type Window } from "./rates.ts";

export const RATES = ["in", "delivered", "deferred", "failed"] as const;
export type RateName = (typeof RATES)[number];

export interface DeliveryRow extends UnderWay {
  /** Null when nobody knows. */
  readonly sender: string | null;
  /** Milliseconds. */
  readonly age: number;
}

export interface DestinationRow extends Destination {
  readonly name: string;
  /** It has as many deliveries as it is to have: others wait. */
  readonly full: boolean;
  readonly underWay: number;
  /** Milliseconds a try took, and takes when it is still under way; null without any. */
  readonly mean: number | null;
}

export interface ErrorRow extends ErrorGroup {
  readonly key: string;
}

export interface ClientRow extends DoorCounts {
  readonly ip: string;
  readonly open: number;
}

export interface DoorRow extends DoorCounts {
  readonly name: string;
  /** Connections; null when nobody says. */
  readonly open: number | null;
  readonly limit: number | null;
  readonly clients: readonly ClientRow[];
}

export interface MessageRow {
  readonly id: string;
  readonly sender: string;
  readonly size: number;
  /** Milliseconds. */
  readonly age: number;
  readonly state: State | "trying" | "held";
  /** Milliseconds until the next try; null when nobody knows, or nobody is left. */
  readonly next: number | null;
  readonly recipients: readonly string[];
  readonly done: number;
  readonly trouble: Trouble | null;
}

export interface Snapshot {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly home: string;
  /** control/me; empty without. */
  readonly me: string;
  /** Since when everything is known, when that is less than the longest window; null otherwise. */
  readonly seen: number | null;
  readonly rates: Readonly<Record<RateName, Readonly<Record<Window, number>>>>;
  /** Null when we may not look. */
  readonly queue: QueueCounts | null;
  /** As the files of the queue tell, or the log. */
  readonly use: Readonly<Record<Channel, Use>> | null;
  readonly underWay: readonly DeliveryRow[];
  readonly messages: readonly MessageRow[];
  readonly moreMessages: boolean;
  readonly destinations: readonly DestinationRow[];
  readonly errors: readonly ErrorRow[];
  readonly doors: readonly DoorRow[];
  /** Null when no supervisor answers. */
  readonly services: readonly ServiceStatus[] | null;
  /** What qmail-send says itself; null when it does not answer. */
  readonly send: Status | null;
}

/** What the snapshot is made of, beside the log. */
export interface Surroundings {
  readonly home: string;
  readonly me: string;
  readonly queue: QueueCounts | null;
  readonly messages: readonly QueuedMessage[];
  readonly moreMessages: boolean;
  readonly connections: ReadonlyMap<string, DoorConnections>;
  readonly services: readonly ServiceStatus[] | null;
  readonly send: Status | null;
  readonly held: Held;
  /** Of messages whose coming in the log does not tell: null when nobody knows. */
  readonly senders: ReadonlyMap<string, string | null>;
}

/** What there is to show at `now`. */
export function snapshot(model: TopModel, around: Surroundings, now: number): Snapshot {
  const { home, me, queue, services, send, moreMessages } = around;
  const underWay = deliveries(model, around, now);
  return {
    time: now,
    home,
    me,
    seen: now - model.seen < WINDOWS["5m"] ? model.seen : null,
    rates: mapRates(model, now),
    queue,
    use: model.use,
    underWay,
    messages: around.messages.map(messageRows(model, around.held, now)),
    moreMessages,
    destinations: destinations(model, { underWay, send }, now),
    errors: errors(model, now),
    doors: doors(model, around, now),
    services,
    send,
  };
}

function mapRates(model: TopModel, now: number): Snapshot["rates"] {
  const windows = Object.keys(WINDOWS) as Window[];
  const of = (name: RateName) =>
    Object.fromEntries(
      windows.map((window) => [window, model.rates[name].perSecond(now, window, model.seen)]),
    ) as Record<Window, number>;
  return {
    in: of("in"),
    delivered: of("delivered"),
    deferred: of("deferred"),
    failed: of("failed"),
  };
}

function deliveries(model: TopModel, { senders, send }: Surroundings, now: number): DeliveryRow[] {
  return underWayNow(model, send).map((each) => ({
    ...each,
    sender: model.messages.get(each.id)?.sender ?? senders.get(each.id) ?? null,
    age: Math.max(0, now - each.since),
  }));
}

/** qmail-send knows them all, but does not tell of more than so many; the log does not go back for ever. */
export function underWayNow(model: TopModel, send: Status | null): readonly UnderWay[] {
  if (send) {
    const { local, remote } = send.channels;
    if (send.deliveries.length >= local.used + remote.used) return send.deliveries;
  }
  return [...model.underWay.values()];
}

/** What makes a row of a queued message, by what the log knows of it. */
export function messageRows(
  model: TopModel,
  held: Held,
  now: number,
): (message: QueuedMessage) => MessageRow {
  const trying = new Set([...model.underWay.values()].map(({ id }) => id));
  return (message) => {
    const trouble = model.troubles.get(message.id) ?? null;
    const next = Math.max(0, nextOf(message, trouble) - now);
    const left = message.recipients.filter(({ done }) => !done);
    return {
      id: message.id,
      sender: message.sender,
      size: message.size,
      age: Math.max(0, now - message.birth),
      state: stateOf(message, next),
      next: Number.isFinite(next) ? next : null,
      recipients: left.map(({ address }) => address),
      done: message.recipients.length - left.length,
      trouble,
    };
  };

  function stateOf(message: QueuedMessage, next: number): MessageRow["state"] {
    if (trying.has(message.id)) return "trying";
    if (held.get(message.id) === message.made) return "held";
    const [state = "done"] = statesOf(message, now);
    return state === "due" && next > 0 ? "waiting" : state;
  }
}

/** While qmail-send runs its files do not tell when it tries them next: what is tried is tried again by the schedule. */
function nextOf(message: QueuedMessage, trouble: Trouble | null): number {
  const told = nextTry(message);
  if (!trouble || !Number.isFinite(told)) return told;
  const [birth, tried] = [message.birth, trouble.time].map((ms) => Math.floor(ms / 1000));
  return Math.max(told, nextRetry(birth as number, trouble.channel, tried as number) * 1000);
}

function destinations(
  model: TopModel,
  { underWay, send }: { underWay: readonly DeliveryRow[]; send: Status | null },
  now: number,
): DestinationRow[] {
  const sums = model.destinations.sum(now, addDestination);
  const waiting = new Map<string, { count: number; took: number; longest: number }>();
  for (const { channel, recipient, age } of underWay) {
    const name = destinationOf(channel, recipient);
    const { count, took, longest } = waiting.get(name) ?? { count: 0, took: 0, longest: 0 };
    const sum = { count: count + 1, took: took + age, longest: Math.max(longest, age) };
    waiting.set(name, sum);
  }
  const full = new Set(send?.channels.remote.heldDomains.names);
  return [...new Set([...sums.keys(), ...waiting.keys()])].map((name) => {
    const none = { delivered: 0, deferred: 0, failed: 0, took: 0, longest: 0, error: "" };
    const known = sums.get(name) ?? none;
    const open = waiting.get(name) ?? { count: 0, took: 0, longest: 0 };
    const tries = known.delivered + known.deferred + known.failed + open.count;
    return {
      ...known,
      name,
      full: full.has(name),
      underWay: open.count,
      // A host that hangs shows before it has let go.
      longest: Math.max(known.longest, open.longest),
      mean: tries === 0 ? null : (known.took + open.took) / tries,
    };
  });
}

function errors(model: TopModel, now: number): ErrorRow[] {
  return [...model.errors.sum(now, addErrors)].map(([key, group]) => ({ ...group, key }));
}

function doors(model: TopModel, around: Surroundings, now: number): DoorRow[] {
  const counts = model.doors.sum(now, addDoor);
  const clients = model.clients.sum(now, addDoor);
  const said = new Map([...model.connections].map(([name, use]) => [doorName(name, name), use]));
  const names = new Set([...around.connections.keys(), ...said.keys(), ...counts.keys()]);
  return [...names].sort().map((name) => {
    const connected = around.connections.get(name);
    const use = said.get(name);
    return {
      ...(counts.get(name) ?? NO_COUNTS),
      name,
      open: connected?.open ?? use?.used ?? null,
      limit: use?.limit ?? null,
      clients: clientRows(name, connected, clients),
    };
  });
}

const NO_COUNTS: DoorCounts = {
  accepted: 0,
  refused: 0,
  denied: 0,
  logins: 0,
  badLogins: 0,
  ended: 0,
};

function clientRows(
  door: string,
  connected: DoorConnections | undefined,
  counts: ReadonlyMap<string, DoorCounts>,
): ClientRow[] {
  const open = connected?.clients ?? new Map<string, number>();
  const counted = [...counts.keys()].filter((key) => key.startsWith(`${door} `));
  const ips = new Set([...open.keys(), ...counted.map((key) => key.slice(door.length + 1))]);
  return [...ips].map((ip) => ({
    ...(counts.get(`${door} ${ip}`) ?? NO_COUNTS),
    ip,
    open: open.get(ip) ?? 0,
  }));
}
