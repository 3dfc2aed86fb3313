/**
 * What is said on qmail-send's own socket, in frames of net/link.ts: payloads are JSON in latin1, a
 * character for each byte of an address. The frame's id names the request; answers carry it.
 */

import type { MessId } from "../queue/fmtqfn.ts";
import { type Action, parseAction, parseTarget, type Target, type Verdict } from "./action.ts";
import type { Channel } from "./log.ts";

export const ASK = {
  /** An action on messages, at most TARGETS_MAX of them: Request. */
  act: 1,
  /** Everything is due, whatever is known against whom (as SIGALRM). */
  flush: 2,
  /** How do things stand? */
  status: 3,
  /** To act: Answer[], again and again until each target has one. */
  answers: 11,
  /** To flush: nothing. */
  flushed: 12,
  /** To status: Status. */
  standing: 13,
} as const;

/** Its directory lets only qmail-send's user and root through. */
export const SEND_SOCKET = "run/send/qmail-send";

/** So many targets are in one request. */
export const TARGETS_MAX = 500;
/** So many of one asker may wait for their answers. */
export const UNANSWERED_MAX = 8 * TARGETS_MAX;
/** Seconds that an action may wait for what is under way. */
export const WAIT_MAX = 3600;

export interface Request {
  readonly action: Action;
  /** Seconds that each may wait for what is under way. */
  readonly wait: number;
  readonly targets: readonly Target[];
}

export interface Answer extends Verdict {
  readonly id: MessId;
  readonly made: number;
}

/** A delivery under way. */
export interface UnderWay {
  readonly delivery: number;
  readonly id: MessId;
  readonly channel: Channel;
  readonly recipient: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

export interface ChannelStatus {
  readonly used: number;
  readonly limit: number;
  /** Messages with files that wait for their time, or for a domain that is held. */
  readonly waiting: number;
  /** What waits for a domain that is held and for nothing else: such messages, and deliveries of messages in memory. */
  readonly waitingForDomain: number;
  /** Messages that are held until they are released. */
  readonly held: number;
  /** Domains that the spawner has enough of for now: how many, and some of them. */
  readonly heldDomains: { readonly count: number; readonly names: readonly string[] };
}

/** How things stand with qmail-send. */
export interface Status {
  readonly pid: number;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** False while it reads what an earlier run left: numbers are too low, and actions wait. */
  readonly read: boolean;
  readonly channels: Readonly<Record<Channel, ChannelStatus>>;
  /** Messages in memory, still in todo. */
  readonly straight: number;
  /** Messages that are at their end: a bounce is to be sent, or files to be removed. */
  readonly ending: number;
  /** Deliveries under way: the first of them. */
  readonly deliveries: readonly UnderWay[];
}

export function encode(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value), "latin1");
}

/** The reverse of `encode`. Throws on what is no JSON. */
export function decode(payload: Buffer): unknown {
  return JSON.parse(payload.toString("latin1"));
}

/** A request as it came; null for what is none. */
export function parseRequest(payload: Buffer): Request | null {
  let value: unknown;
  try {
    value = decode(payload);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { action, wait, targets } = value as Record<string, unknown>;
  const parsed = parseAction(action);
  if (!parsed || typeof wait !== "number" || !(wait >= 0) || !Array.isArray(targets)) return null;
  if (targets.length > TARGETS_MAX) return null;
  const all = targets.map(parseTarget);
  if (!all.every((target) => target !== null)) return null;
  return { action: parsed, wait: Math.min(wait, WAIT_MAX), targets: all };
}
