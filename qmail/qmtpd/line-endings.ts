/** The line endings of QMTP's second encoding. */

const CR = 13;
const HELD = Buffer.from("\r");

/** Turns CR LF into LF in a text that comes in pieces; a CR alone stays what it is. */
export class CrlfDecoder {
  /** The last piece ended in a CR, whose meaning shows with the next byte. */
  #held = false;

  push(piece: Buffer): Buffer {
    const bytes = this.#held ? Buffer.concat([HELD, piece]) : piece;
    this.#held = bytes.at(-1) === CR;
    const known = this.#held ? bytes.subarray(0, -1) : bytes;
    if (!known.includes(CR)) return known;
    return Buffer.from(known.toString("latin1").replaceAll("\r\n", "\n"), "latin1");
  }

  end(): Buffer {
    return this.#held ? HELD : Buffer.alloc(0);
  }
}
