/**
 * What a spawner and its workers say to each other (frames of net/link.ts). The id names a delivery.
 *
 * A small message travels with its order. Of a larger one the worker asks for pieces as it can use
 * them: nobody holds more of it than one piece.
 */

import { bytes, either, type Kinds, kind, MAX_FRAME, nothing, text } from "../net/frames.ts";
import { ADDRESSES_MAX } from "./protocol.ts";
import type { Report } from "./report.ts";

/** A message up to this size travels with its order. */
export const INLINE_MAX = 128 * 1024;
/** Size of a piece. */
export const PIECE = 256 * 1024;
/** The longest text of a report. */
export const REPORT_MAX = 16 * 1024;
/** What a worker may hand on for the next try; it is its user's, and so may be what it says. */
const PROGRESS = /^[!-~]{1,100}$/;

export const WORK = {
  /** To the worker: an order (below). */
  start: kind(1, MAX_FRAME, parseOrder),
  /** To the worker: the bytes asked for by `more`; none when there are no more. */
  piece: kind(2, PIECE, bytes),
  /** From the worker: bytes from this position on, please (8 bytes). Not again before they have come. */
  more: kind(3, 8, parsePosition),
  /** From the worker: K, Z or D and a text. */
  report: kind(4, 1 + REPORT_MAX, parseReport),
  /** From the worker, about a domain: nothing more for it until `free`. */
  hold: kind(5, ADDRESSES_MAX, text),
  /** From the worker, about a domain that was held. */
  free: kind(6, ADDRESSES_MAX, text),
  /** To the worker: try this domain again whatever is known against it; an empty payload: all domains. */
  flush: kind(7, ADDRESSES_MAX, text),
  /** To the worker: nothing more will come; what can be put off is to be put off soon. */
  leave: kind(8, 0, nothing),
  /** From the worker: this delivery waits for something of its own user's, a lock say (1), or goes on (0). */
  waits: kind(9, 1, either("1", "0")),
  /** From the worker, before a report: what of the delivery is done (report.ts, `progress`). */
  progress: kind(10, 100, (payload) => PROGRESS.exec(text(payload))?.[0] ?? null),
  /** To the worker: answer, if you can. */
  ping: kind(11, 0, nothing),
  /** From the worker: the answer to a ping. */
  pong: kind(12, 0, nothing),
} as const;

/** What a worker hears. */
export const TO_WORKER = {
  start: WORK.start,
  piece: WORK.piece,
  flush: WORK.flush,
  leave: WORK.leave,
  ping: WORK.ping,
} satisfies Kinds;

/** What a spawner hears of its worker. */
export const FROM_WORKER = {
  more: WORK.more,
  report: WORK.report,
  hold: WORK.hold,
  free: WORK.free,
  waits: WORK.waits,
  progress: WORK.progress,
  pong: WORK.pong,
} satisfies Kinds;

export interface Order {
  /** What the worker needs to know besides the message: strings without NUL. */
  readonly fields: readonly string[];
  /** Size of the message. */
  readonly size: number;
  /** The whole message, or empty when it must be asked for. */
  readonly inline: Buffer;
}

/** The parts of a start frame, to be sent one after another. */
export function formatOrder(order: Order): Buffer[] {
  const fields = Buffer.from(order.fields.join("\0"), "latin1");
  const header = Buffer.allocUnsafe(12);
  header.writeUInt32BE(fields.length, 0);
  header.writeDoubleBE(order.size, 4);
  return [header, fields, order.inline];
}

/** The reverse of `formatOrder`; `inline` is a view of `payload`. */
export function parseOrder(payload: Buffer): Order | null {
  if (payload.length < 12) return null;
  const end = 12 + payload.readUInt32BE(0);
  if (end > payload.length) return null;
  return {
    fields: payload.toString("latin1", 12, end).split("\0"),
    size: payload.readDoubleBE(4),
    inline: payload.subarray(end),
  };
}

/** The payload that asks for the bytes from `position` on. */
export function formatPosition(position: number): Buffer {
  const payload = Buffer.allocUnsafe(8);
  payload.writeDoubleBE(position, 0);
  return payload;
}

function parsePosition(payload: Buffer): number | null {
  const position = payload.length === 8 ? payload.readDoubleBE(0) : -1;
  return Number.isSafeInteger(position) && position >= 0 ? position : null;
}

function parseReport(payload: Buffer): Report | null {
  const status = text(payload.subarray(0, 1));
  if (status !== "K" && status !== "Z" && status !== "D") return null;
  return { status, text: text(payload.subarray(1)) };
}
