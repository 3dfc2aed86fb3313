/**
 * What is said on qmail-send's own socket, in frames of net/link.ts: payloads are JSON in latin1, a
 * character for each byte of an address. The frame's id names the request; answers carry it.
 */

import { type Kinds, kind, MAX_FRAME, nothing, text } from "../net/frames.ts";
import { isMessId, type MessId } from "../queue/fmtqfn.ts";
import {
  type Action,
  OUTCOMES,
  parseAction,
  parseTarget,
  type Target,
  type Verdict,
} from "./action.ts";
import { CHANNELS, type Channel } from "./log.ts";

export const ASK = {
  /** An action on messages, at most TARGETS_MAX of them: Request. */
  act: kind(1, MAX_FRAME, parseRequest),
  /** Everything is due, whatever is known against whom (as SIGALRM). */
  flush: kind(2, 0, nothing),
  /** How do things stand? */
  status: kind(3, 0, nothing),
  /** To act: Answer[], again and again until each target has one. */
  answers: kind(11, MAX_FRAME, parseAnswers),
  /** To flush: nothing. */
  flushed: kind(12, 0, nothing),
  /** To status: Status. */
  standing: kind(13, MAX_FRAME, parseStatus),
} as const;

/** What qmail-send hears. */
export const FROM_ASKER = { act: ASK.act, flush: ASK.flush, status: ASK.status } satisfies Kinds;

/** What it answers. */
export const TO_ASKER = {
  answers: ASK.answers,
  flushed: ASK.flushed,
  standing: ASK.standing,
} satisfies Kinds;

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

/** The reverse of `encode`; undefined for what is no JSON. */
function decode(payload: Buffer): unknown {
  try {
    return JSON.parse(text(payload));
  } catch {
    return undefined;
  }
}

/** The payload for `status`; without its names when these make it too long for a frame. */
export function formatStatus(status: Status): Buffer {
  const whole = encode(status);
  if (whole.length <= ASK.standing.max) return whole;
  const unnamed = (channel: ChannelStatus): ChannelStatus => ({
    ...channel,
    heldDomains: { count: channel.heldDomains.count, names: [] },
  });
  const { local, remote } = status.channels;
  const channels = { local: unnamed(local), remote: unnamed(remote) };
  return encode({ ...status, channels, deliveries: [] });
}

/** A request as it came; null for what is none. */
export function parseRequest(payload: Buffer): Request | null {
  const value = decode(payload);
  if (typeof value !== "object" || value === null) return null;
  const { action, wait, targets } = value as Record<string, unknown>;
  const parsed = parseAction(action);
  if (!parsed || typeof wait !== "number" || !(wait >= 0) || !Array.isArray(targets)) return null;
  if (targets.length > TARGETS_MAX) return null;
  const all = targets.map(parseTarget);
  if (!all.every((target) => target !== null)) return null;
  return { action: parsed, wait: Math.min(wait, WAIT_MAX), targets: all };
}

function parseAnswers(payload: Buffer): readonly Answer[] | null {
  const value = decode(payload);
  return ANSWERS(value) ? (value as Answer[]) : null;
}

function parseStatus(payload: Buffer): Status | null {
  const value = decode(payload);
  return STATUS(value) ? (value as Status) : null;
}

/** Whether a value that came from elsewhere has the form it should have. */
type Form = (value: unknown) => boolean;

const isText: Form = (value) => typeof value === "string";
const isNumber: Form = (value) => typeof value === "number";
const isBoolean: Form = (value) => typeof value === "boolean";

function orNothing(form: Form): Form {
  return (value) => value === undefined || form(value);
}

function listOf(form: Form): Form {
  return (value) => Array.isArray(value) && value.every(form);
}

function record(forms: Readonly<Record<string, Form>>): Form {
  return (value) =>
    typeof value === "object" &&
    value !== null &&
    Object.entries(forms).every(([name, form]) => form((value as Record<string, unknown>)[name]));
}

const ANSWERS = listOf(
  record({
    id: (value) => typeof value === "string" && isMessId(value),
    made: isNumber,
    outcome: (value) => (OUTCOMES as readonly unknown[]).includes(value),
    reason: orNothing(isText),
    recipients: orNothing(isNumber),
    untold: orNothing(isNumber),
  }),
);

const CHANNEL = record({
  used: isNumber,
  limit: isNumber,
  waiting: isNumber,
  waitingForDomain: isNumber,
  held: isNumber,
  heldDomains: record({ count: isNumber, names: listOf(isText) }),
});

const STATUS = record({
  pid: isNumber,
  since: isNumber,
  read: isBoolean,
  channels: record({ local: CHANNEL, remote: CHANNEL }),
  straight: isNumber,
  ending: isNumber,
  deliveries: listOf(
    record({
      delivery: isNumber,
      id: isText,
      channel: (value) => (CHANNELS as readonly unknown[]).includes(value),
      recipient: isText,
      since: isNumber,
    }),
  ),
});
