/**
 * A message as SMTP carries it: lines end in CR LF, a dot at the beginning of a line is doubled, and
 * the end is a line with a dot. Pure; works on whole lines of a chunk.
 *
 * LF, CR LF and a lone CR all end a line: nothing but CR LF may reach the other side, where a lone
 * CR or LF could be read as an end that we did not mean.
 */

const CR = 13;
const LF = 10;
const DOT = 46;
const CRLF = Buffer.from("\r\n");
const DOTS = Buffer.from(".");

export class BlastEncoder {
  #lineStart = true;
  /** The last byte was a CR: a LF that follows belongs to it. */
  #afterCr = false;

  /** The bytes to send for `chunk`. */
  push(chunk: Buffer): Buffer {
    const out: Buffer[] = [];
    let at = 0;
    if (this.#afterCr && chunk[0] === LF) at = 1;
    if (chunk.length > 0) this.#afterCr = false;
    // Each is looked for again when it is passed: a chunk of one alone would be searched to its end at every byte.
    let lf = -1;
    let cr = -1;
    while (at < chunk.length) {
      if (this.#lineStart && chunk[at] === DOT) out.push(DOTS);
      if (lf < at) lf = indexOrEnd(chunk, LF, at);
      if (cr < at) cr = indexOrEnd(chunk, CR, at);
      const end = Math.min(lf, cr);
      out.push(chunk.subarray(at, end));
      this.#lineStart = end < chunk.length;
      if (!this.#lineStart) break;
      out.push(CRLF);
      const ended = chunk[end] === CR;
      at = ended && chunk[end + 1] === LF ? end + 2 : end + 1;
      this.#afterCr = ended && end + 1 === chunk.length;
    }
    return out.length === 1 ? (out[0] as Buffer) : Buffer.concat(out);
  }

  /** The end of the message; a last line without its end gets one. */
  end(): Buffer {
    return Buffer.from(this.#lineStart ? ".\r\n" : "\r\n.\r\n");
  }
}

function indexOrEnd(bytes: Buffer, byte: number, from: number): number {
  const at = bytes.indexOf(byte, from);
  return at < 0 ? bytes.length : at;
}
