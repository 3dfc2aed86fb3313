/**
 * What is said on the links of the queue server (frames of net/link.ts).
 *
 * By those who put mail in: put*, then close or abort; by local users: drop, for a file in drop. By qmail-send: clean*;
 * to it: fresh and scan. The frame's id names the message or the request.
 */

import { bytes, either, type Kinds, kind, nothing, text } from "../net/frames.ts";
import { isMessId, type MessId } from "./fmtqfn.ts";

/** Messages and long envelopes travel in pieces of this size at most, so that those of different messages mix. */
export const PIECE = 256 * 1024;
/** A longer todo file is not sent along: qmail-send reads it. */
export const FRESH_MAX = 64 * 1024;
/** The longest name of a message: id NUL made. */
const NAME_MAX = 64;

/** The names of finished files in drop, as qmail-queue makes them. */
export const DROP_NAME = /^[0-9a-f.]{1,100}\.msg$/;

export const FRAME = {
  /** Bytes of message `id`. */
  put: kind(1, PIECE, bytes),
  /** The envelope of message `id` (envelope.ts), or what is left of it: queue it now. */
  close: kind(2, PIECE, bytes),
  /** Message `id` is given up. */
  abort: kind(3, 0, nothing),
  /** Take in the file of this name in drop. */
  drop: kind(4, 200, (payload) => DROP_NAME.exec(text(payload))?.[0] ?? null),
  /** Answer to close and drop: exit code of qmail-queue (1 byte), qp (4 bytes), custom text. */
  result: kind(5, 5 + 1000, parseResult),
  /** Remove intd/ID and todo/ID (qmail-clean's "todo/ID"). The three name a message: id NUL made. */
  cleanTodo: kind(6, NAME_MAX, parseName),
  /** Remove intd/ID and mess/N/ID (qmail-clean's "foop/ID"). */
  cleanMess: kind(7, NAME_MAX, parseName),
  /** Remove intd/ID, todo/ID and mess/N/ID: a message delivered straight from todo. */
  cleanAll: kind(8, NAME_MAX, parseName),
  /** Answer to the three: "+", or "!" when something could not be removed. */
  cleaned: kind(9, 1, either("+", "!")),
  /** A message now in todo: id NUL made NUL size NUL and the bytes of its todo file. */
  fresh: kind(10, NAME_MAX + FRESH_MAX, parseFresh),
  /** Messages came into todo that were not announced: read the directory. */
  scan: kind(11, 0, nothing),
  /** qmail-send has the queue to itself and reads: the doors may open. Once. */
  open: kind(12, 0, nothing),
  /** The doors are open. */
  opened: kind(13, 0, nothing),
  /** A part of the envelope of message `id`, for one too long for a frame. */
  envelope: kind(14, PIECE, bytes),
  /** From qmail-send: look through drop for what nobody has asked to take in. */
  drops: kind(15, 0, nothing),
  /** A message has lost its name in todo again, since that could not be made durable: id NUL made. */
  retract: kind(16, NAME_MAX, parseName),
  /** Answer to retract: "+", it is not known, or "!": it was found in todo and is being delivered. */
  retracted: kind(17, 1, either("+", "!")),
} as const;

/** What the server hears of those who put messages in: the network daemons. */
export const FROM_NETWORK = {
  put: FRAME.put,
  envelope: FRAME.envelope,
  close: FRAME.close,
  abort: FRAME.abort,
} satisfies Kinds;

/** What the server hears of local users, any of them. */
export const FROM_LOCAL = { drop: FRAME.drop } satisfies Kinds;

/** What both hear. */
export const FROM_SERVER = { result: FRAME.result } satisfies Kinds;

/** What the server hears of qmail-send, which puts bounces in. */
export const FROM_SEND = {
  ...FROM_NETWORK,
  cleanTodo: FRAME.cleanTodo,
  cleanMess: FRAME.cleanMess,
  cleanAll: FRAME.cleanAll,
  open: FRAME.open,
  drops: FRAME.drops,
  retracted: FRAME.retracted,
} satisfies Kinds;

/** What qmail-send hears of the server. */
export const TO_SEND = {
  ...FROM_SERVER,
  cleaned: FRAME.cleaned,
  fresh: FRAME.fresh,
  scan: FRAME.scan,
  opened: FRAME.opened,
  retract: FRAME.retract,
} satisfies Kinds;

/** Socket of the network daemons; its directory lets only them through. */
export const NETWORK_SOCKET = "run/net/qmail-queue";
/** Socket of every local user: takes only names of files in drop. */
export const LOCAL_SOCKET = "run/local/qmail-queue";
/** Where local users leave messages; a file's owner proves who queued it. */
export const DROP_DIRECTORY = "drop";
/** In the queue directory as long as a repair is not at its end: then nobody may send (INTERNALS.md, "Repair"). */
export const REPAIR_DIRECTORY = "repair";

/** The longest envelope taken, in bytes: as many recipients of ordinary length as may be. */
export const ENVELOPE_MAX = 64 << 20;

/** A message being put in takes at most this long, or is given up (C qmail: DEATH). */
export const DEATH_SECONDS = 86_400;

/** A mess file older than this without info or todo is garbage; must exceed DEATH_SECONDS (C qmail: OSSIFIED). */
export const OSSIFIED_SECONDS = 129_600;

/** Payload of a result frame. */
export function formatResult(code: number, qp: number, text = ""): Buffer {
  const payload = Buffer.alloc(5 + text.length);
  payload[0] = code;
  payload.writeUInt32BE(qp, 1);
  payload.write(text, 5, "latin1");
  return payload;
}

/** What the queue server answers. */
export interface Result {
  /** Exit code of qmail-queue. */
  readonly code: number;
  readonly qp: number;
  readonly text: string;
}

/** The reverse of `formatResult`; null for bytes that are none. */
export function parseResult(payload: Buffer): Result | null {
  if (payload.length < 5) return null;
  const [code = 0] = payload;
  return { code, qp: payload.readUInt32BE(1), text: payload.toString("latin1", 5) };
}

/** Which message is meant: a number and which message of that number it is (made.ts). */
export interface MessageName {
  readonly id: MessId;
  readonly made: number;
}

/** Payload of the frames that name a message. */
export function formatName({ id, made }: MessageName): string {
  return `${id}\0${made}`;
}

/** The reverse of `formatName`; null for bytes that name no message. */
export function parseName(payload: Buffer): MessageName | null {
  const [id = "", made = "", ...more] = payload.toString("latin1").split("\0");
  if (!isMessId(id) || !isMade(made) || more.length > 0) return null;
  return { id, made: Number(made) };
}

/** What is said of a message that has come into todo. */
export interface Fresh extends MessageName {
  /** Bytes of the mess file. */
  readonly size: number;
  /** Content of the todo file. */
  readonly todo: Buffer;
}

/** Payload of a fresh frame. */
export function formatFresh({ id, made, size, todo }: Fresh): Buffer {
  return Buffer.concat([Buffer.from(`${id}\0${made}\0${size}\0`, "latin1"), todo]);
}

/** The reverse of `formatFresh`; the todo bytes are a view of `payload`. Null for bytes that are none. */
export function parseFresh(payload: Buffer): Fresh | null {
  const [id, made, size] = [0, 1, 2].map(() => {
    const end = payload.indexOf(0);
    const word = payload.toString("latin1", 0, Math.max(0, end));
    payload = payload.subarray(end + 1);
    return word;
  }) as [string, string, string];
  if (!isMessId(id) || !isMade(made) || !/^\d{1,15}$/.test(size)) return null;
  return { id, made: Number(made), size: Number(size), todo: payload };
}

/** Digits that a number holds exactly: microseconds since 1970. */
function isMade(word: string): boolean {
  return /^\d{1,16}$/.test(word) && Number.isSafeInteger(Number(word));
}
