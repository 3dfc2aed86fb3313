/**
 * The bytes behind DATA: dots unstuffed, CR LF to LF, until CR LF . CR LF and nothing else. Pure.
 *
 * A bare LF or bare CR is refused: servers that disagree about where a message ends let one message
 * smuggle another. Works on whole lines of a chunk; what is undecided at its end is carried over.
 */

const CR = 13;
const LF = 10;
const DOT = 46;

/** A message that has passed so many hosts is going round in circles. */
export const MAX_HOPS = 100;

/** "delivered" is the longest beginning of a line that is looked for. */
const HOP_NAMES = ["received", "delivered"];
const HOP_LENGTH = 9;

export type BlastState = "data" | "end" | "bare-newline";

export interface BlastResult {
  readonly state: BlastState;
  /** Decoded bytes of the message. */
  readonly data: Buffer;
  /** What follows the end; empty otherwise. */
  readonly rest: Buffer;
}

const NOTHING = Buffer.alloc(0);

export class Blast {
  #carry: Buffer = NOTHING;
  #lineStart = true;
  #header = true;
  /** Received and Delivered-To lines in the header so far. */
  hops = 0;

  push(chunk: Buffer): BlastResult {
    const input = this.#carry.length > 0 ? Buffer.concat([this.#carry, chunk]) : chunk;
    this.#carry = NOTHING;
    // Decoding only takes bytes away.
    const out = Buffer.allocUnsafe(input.length);
    let written = 0;
    let at = 0;
    const result = (state: BlastState, rest: Buffer = NOTHING): BlastResult => {
      return { state, data: out.subarray(0, written), rest };
    };
    while (at < input.length) {
      if (this.#lineStart) {
        if (this.#undecided(input, at)) {
          this.#carry = Buffer.from(input.subarray(at));
          return result("data");
        }
        if (input[at] === DOT) {
          at++;
          if (input[at] === CR && input[at + 1] === LF)
            return result("end", input.subarray(at + 2));
        }
        if (this.#header) this.#headerLine(input, at);
        this.#lineStart = false;
      }
      const lf = input.indexOf(LF, at);
      const line = lf < 0 ? input.subarray(at) : input.subarray(at, lf);
      const cr = line.indexOf(CR);
      if (lf < 0) {
        // A CR at the very end may be half of CR LF.
        const keep = cr >= 0 && cr === line.length - 1 ? cr : line.length;
        if (cr >= 0 && cr < line.length - 1) return result("bare-newline");
        written += line.copy(out, written, 0, keep);
        this.#carry = Buffer.from(line.subarray(keep));
        return result("data");
      }
      if (cr < 0 || cr !== line.length - 1) return result("bare-newline");
      written += line.copy(out, written, 0, cr);
      out[written++] = LF;
      at = lf + 1;
      this.#lineStart = true;
    }
    return result("data");
  }

  /** True when too little of the line is there to know what it is. */
  #undecided(input: Buffer, at: number): boolean {
    const left = input.length - at;
    if (left >= (this.#header ? HOP_LENGTH + 1 : 3)) return false;
    return input.indexOf(LF, at) < 0 && (this.#header || input[at] === DOT);
  }

  #headerLine(input: Buffer, at: number): void {
    if (input[at] === CR) {
      this.#header = false;
      return;
    }
    const letter = (input[at] ?? 0) | 0x20;
    if (letter !== 0x72 && letter !== 0x64) return;
    const start = input.toString("latin1", at, at + HOP_LENGTH).toLowerCase();
    if (HOP_NAMES.some((name) => start.startsWith(name))) this.hops++;
  }
}
