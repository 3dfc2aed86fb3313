/**
 * What is said on the links of the queue server (frames of net/link.ts).
 *
 * From those who put mail in: PUT*, then CLOSE or ABORT; or DROP for a file in drop.
 * From qmail-send: CLEAN_*; to it: NEW and SCAN. The frame's id names the message or the request.
 */

import { isMessId, type MessId } from "./fmtqfn.ts";

export const FRAME = {
  /** Bytes of message `id`. */
  put: 1,
  /** The envelope of message `id` (envelope.ts), or what is left of it: queue it now. */
  close: 2,
  /** Message `id` is given up. */
  abort: 3,
  /** Take in the file of this name in drop. */
  drop: 4,
  /** Answer to close and drop: exit code of qmail-queue (1 byte), qp (4 bytes), custom text. */
  result: 5,
  /** Remove intd/ID and todo/ID (qmail-clean's "todo/ID"). The three name a message: id NUL made. */
  cleanTodo: 6,
  /** Remove intd/ID and mess/N/ID (qmail-clean's "foop/ID"). */
  cleanMess: 7,
  /** Remove intd/ID, todo/ID and mess/N/ID: a message delivered straight from todo. */
  cleanAll: 8,
  /** Answer to the three: "+", or "!" when something could not be removed. */
  cleaned: 9,
  /** A message now in todo: id NUL made NUL size NUL and the bytes of its todo file. */
  fresh: 10,
  /** Messages came into todo that were not announced: read the directory. */
  scan: 11,
  /** qmail-send has the queue to itself and reads: the doors may open. */
  open: 12,
  /** The doors are open. */
  opened: 13,
  /** A part of the envelope of message `id`, for one too long for a frame. */
  envelope: 14,
  /** From qmail-send: look through drop for what nobody has asked to take in. */
  drops: 15,
  /** A message has lost its name in todo again, since that could not be made durable: id NUL made. */
  retract: 16,
  /** Answer to retract: "+", it is not known, or "!": it was found in todo and is being delivered. */
  retracted: 17,
} as const;

/** Socket of the network daemons; its directory lets only them through. */
export const NETWORK_SOCKET = "run/net/qmail-queue";
/** Socket of every local user: takes only names of files in drop. */
export const LOCAL_SOCKET = "run/local/qmail-queue";
/** Where local users leave messages; a file's owner proves who queued it. */
export const DROP_DIRECTORY = "drop";
/** In the queue directory as long as a repair is not at its end: then nobody may send (INTERNALS.md, "Repair"). */
export const REPAIR_DIRECTORY = "repair";

/** The longest envelope taken, in bytes: millions of recipients of ordinary length. */
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

/** The reverse of `formatResult`. */
export function parseResult(payload: Buffer): { code: number; qp: number; text: string } {
  return {
    code: payload[0] ?? 0,
    qp: payload.length >= 5 ? payload.readUInt32BE(1) : 0,
    text: payload.toString("latin1", 5),
  };
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
