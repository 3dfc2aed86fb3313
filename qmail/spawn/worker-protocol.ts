/**
 * What a spawner and its workers say to each other (frames of net/link.ts). The id names a delivery.
 *
 * A small message travels with its order. Of a larger one the worker asks for pieces as it can use
 * them: nobody holds more of it than one piece.
 */

export const WORK = {
  /** To the worker: an order (below). */
  start: 1,
  /** To the worker: the bytes asked for by `more`; none when there are no more. */
  piece: 2,
  /** From the worker: bytes from this position on, please (8 bytes). */
  more: 3,
  /** From the worker: K, Z or D and a text. */
  report: 4,
  /** From the worker, about a domain: nothing more for it until `free`. */
  hold: 5,
  /** From the worker, about a domain that was held. */
  free: 6,
  /** To the worker: try this domain again whatever is known against it; an empty payload: all domains. */
  flush: 7,
  /** To the worker: nothing more will come; what can be put off is to be put off soon. */
  leave: 8,
  /** From the worker: this delivery waits for something of its own user's, a lock say (1), or goes on (0). */
  waits: 9,
  /** From the worker, before a report: what of the delivery is done (report.ts, `progress`). */
  progress: 10,
  /** To the worker: answer, if you can. */
  ping: 11,
  /** From the worker: the answer to a ping. */
  pong: 12,
} as const;

/** A message up to this size travels with its order. */
export const INLINE_MAX = 128 * 1024;
/** Size of a piece. */
export const PIECE = 256 * 1024;

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
export function parseOrder(payload: Buffer): Order {
  const end = 12 + payload.readUInt32BE(0);
  return {
    fields: payload.toString("latin1", 12, end).split("\0"),
    size: payload.readDoubleBE(4),
    inline: payload.subarray(end),
  };
}
