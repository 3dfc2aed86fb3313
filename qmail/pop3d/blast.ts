/**
 * A message on its way to the client: LF to CR LF, dots doubled (RFC 1939, section 3). Pure.
 *
 * As qmail does, an empty line more than the message has goes before the end: some clients need it.
 */

const LF = 10;
const DOT = 46;
const CRLF = Buffer.from("\r\n");
const DOT_BYTE = Buffer.from(".");
const END = Buffer.from("\r\n.\r\n");

export class Blast {
  /** Lines of the body still wanted; null: all. */
  #bodyLines: number | null;
  #header = true;
  #lineStart = true;
  #done = false;

  /** `bodyLines`: so many lines of the body, for TOP. */
  constructor(bodyLines: number | null) {
    this.#bodyLines = bodyLines;
  }

  /** True when nothing more of the message is wanted. */
  get done(): boolean {
    return this.#done;
  }

  /** The next bytes of the message, encoded. */
  push(chunk: Buffer): Buffer {
    const parts: Buffer[] = [];
    for (let at = 0; at < chunk.length && !this.#done; ) {
      const lf = chunk.indexOf(LF, at);
      const end = lf < 0 ? chunk.length : lf;
      if (this.#lineStart && !this.#begin(chunk, at, lf)) break;
      if (this.#lineStart && chunk[at] === DOT) parts.push(DOT_BYTE);
      parts.push(chunk.subarray(at, end));
      this.#lineStart = lf >= 0;
      if (lf >= 0) parts.push(CRLF);
      at = end + 1;
    }
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  /** What follows the last byte. */
  end(): Buffer {
    return this.#lineStart ? END : Buffer.concat([CRLF, END]);
  }

  /** Counts a line that begins at `at`; false: it is not wanted. */
  #begin(chunk: Buffer, at: number, lf: number): boolean {
    if (!this.#header && this.#bodyLines !== null && this.#bodyLines-- <= 0) {
      this.#done = true;
      return false;
    }
    if (lf === at) this.#header = false;
    return chunk.length > at;
  }
}
