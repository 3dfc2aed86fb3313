/**
 * The bytes behind DATA: dots unstuffed, CR LF to LF, until CR LF . CR LF and nothing else. Pure.
 *
 * A bare LF or bare CR is refused: servers that disagree about where a message ends let one message
 * smuggle another. Decoding only takes bytes away, so it happens in place, a line at a time.
 */

const CR = 13;
const LF = 10;
const DOT = 46;

/** A message that has passed so many hosts is going round in circles. */
export const MAX_HOPS = 100;

/** A line that begins with one of these, in any case and in the header, is a hop, as C qmail counts. */
export const HOP_NAMES = ["received", "delivered"];
/** So many bytes of a line tell whether it is a hop, a stuffed dot or the end. */
const DECISIVE = 9;

export type BlastState = "data" | "end" | "stray-newline";

export interface BlastResult {
  readonly state: BlastState;
  /** Decoded bytes of the message. */
  readonly data: Buffer;
  /** What follows the end; empty otherwise. */
  readonly rest: Buffer;
}

const NOTHING = Buffer.alloc(0);

/** Decodes one message, sent by DATA or in the chunks of BDAT, which know no dots and no end of their own. */
export class Blast {
  readonly #chunked: boolean;
  /** Bytes that cannot be judged yet: the beginning of a line, or a CR whose LF is to come. */
  #held: Buffer = NOTHING;
  /** True when the beginning of the line has been handed out already. */
  #midLine = false;
  #inHeader = true;
  /** Received and Delivered-To lines in the header so far. */
  hops = 0;

  constructor({ chunked = false } = {}) {
    this.#chunked = chunked;
  }

  /** Decodes `chunk`, which is given away: its bytes are overwritten. */
  push(chunk: Buffer): BlastResult {
    const input = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk;
    this.#held = NOTHING;
    let written = 0;
    let at = 0;
    for (;;) {
      const lf = input.indexOf(LF, at);
      if (lf < 0) break;
      if (input[lf - 1] !== CR) return { state: "stray-newline", data: NOTHING, rest: NOTHING };
      if (!this.#chunked && !this.#midLine && lf === at + 2 && input[at] === DOT) {
        return judge("end", input.subarray(0, written), input.subarray(lf + 1));
      }
      const from = this.#midLine ? at : this.#beginLine(input, at);
      this.#midLine = false;
      if (from !== written) input.copyWithin(written, from, lf - 1);
      written += lf - 1 - from;
      input[written++] = LF;
      at = lf + 1;
    }
    written = this.#partialLine(input, at, written);
    return judge("data", input.subarray(0, written), NOTHING);
  }

  /** Hands out what is certain of the line that begins at `at` and has no LF yet. */
  #partialLine(input: Buffer, at: number, written: number): number {
    if (!this.#midLine && input.length - at < DECISIVE) {
      this.#held = Buffer.from(input.subarray(at));
      return written;
    }
    const end = input[input.length - 1] === CR ? input.length - 1 : input.length;
    const from = this.#midLine ? at : this.#beginLine(input, at);
    this.#midLine = true;
    this.#held = Buffer.from(input.subarray(end));
    input.copyWithin(written, from, end);
    return written + end - from;
  }

  /** Looks at the line that begins at `at`; where its content begins. */
  #beginLine(input: Buffer, at: number): number {
    const first = input[at] as number;
    if (this.#inHeader) {
      // Letters that differ in this bit only are the same letter.
      const letter = first | 0x20;
      if (first === CR) this.#inHeader = false;
      else if (letter === 0x72 || letter === 0x64) this.#countHop(input, at);
    }
    return first === DOT && !this.#chunked ? at + 1 : at;
  }

  /** The last chunk has come: what was held back of a line that has no end. */
  last(): BlastResult {
    const held = this.#held;
    this.#held = NOTHING;
    return judge("end", held, NOTHING);
  }

  #countHop(input: Buffer, at: number): void {
    const start = input.toString("latin1", at, at + DECISIVE).toLowerCase();
    if (HOP_NAMES.some((name) => start.startsWith(name))) this.hops++;
  }
}

/** Every CR LF has become LF: a CR that is left was bare. */
function judge(state: BlastState, data: Buffer, rest: Buffer): BlastResult {
  if (data.indexOf(CR) < 0) return { state, data, rest };
  return { state: "stray-newline", data: NOTHING, rest: NOTHING };
}
