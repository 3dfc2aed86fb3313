/**
 * Cuts a message that comes in pieces into header fields and body (C qmail: headerbody.c).
 *
 * Fields come whole, one string each; the body passes through in the buffers it came in, so that a
 * message of any size needs little memory.
 */

import { fieldName } from "./headerfield.ts";

const NEWLINE = 10;
const BLANK_LINE = Buffer.from("\n");

/** The line that begins a message in an mbox, as it is or quoted: no field, and yet not the end of the header. */
const FROM_LINE = /^>?From /;

/** A line this long without a colon is no header field: the body has begun, and need not be collected. */
const LONGEST_NAME = 65536;

/** Feed it with `push`, then `end`; both return the bytes of the body that are known by then. */
export class HeaderBody {
  readonly #onField: (field: string) => void;
  /** The line at the end of what came, without its newline yet. */
  #partial: Buffer[] = [];
  #partialLength = 0;
  /** The line at the end is long and no body: decided once. */
  #longField = false;
  #field: string | null = null;
  #inBody = false;
  #lastByte = NEWLINE;

  /** `onField` gets every header field, folded lines and the newline at its end included. */
  constructor(onField: (field: string) => void) {
    this.#onField = onField;
  }

  /** True when the header is complete. */
  get inBody(): boolean {
    return this.#inBody;
  }

  push(chunk: Buffer): Buffer[] {
    if (this.#inBody) return this.#pass([chunk]);
    let start = 0;
    while (start < chunk.length) {
      const newline = chunk.indexOf(NEWLINE, start);
      if (newline < 0) return this.#incomplete(chunk.subarray(start));
      this.#partial.push(chunk.subarray(start, newline + 1));
      start = newline + 1;
      const body = this.#line(this.#takePartial());
      if (body) return this.#pass([...body, chunk.subarray(start)]);
    }
    return [];
  }

  /** The message is complete: a last line without newline gets one. */
  end(): Buffer[] {
    if (this.#inBody) return this.#lastByte === NEWLINE ? [] : [BLANK_LINE];
    let body: Buffer[] | null = null;
    if (this.#partialLength > 0) {
      this.#partial.push(BLANK_LINE);
      body = this.#line(this.#takePartial());
    }
    if (!body) this.#endHeader();
    return body ?? [];
  }

  #incomplete(rest: Buffer): Buffer[] {
    this.#partial.push(rest);
    this.#partialLength += rest.length;
    if (this.#partialLength <= LONGEST_NAME || this.#longField) return [];
    this.#longField = this.#isField();
    if (this.#longField) return [];
    this.#endHeader();
    return this.#pass([BLANK_LINE, ...this.#takePartial()]);
  }

  /** Whether the line whose beginning is known belongs to the header. */
  #isField(): boolean {
    const start = Buffer.concat(this.#partial).toString("latin1", 0, LONGEST_NAME);
    if (this.#field !== null && /^[ \t]/.test(start)) return true;
    return FROM_LINE.test(start) || fieldName(start) !== null;
  }

  #takePartial(): Buffer[] {
    const partial = this.#partial;
    this.#partial = [];
    this.#partialLength = 0;
    this.#longField = false;
    return partial;
  }

  /** Takes one line of the header; returns the first lines of the body when it is over. */
  #line(pieces: Buffer[]): Buffer[] | null {
    const line = Buffer.concat(pieces).toString("latin1");
    if (this.#field !== null && (line.startsWith(" ") || line.startsWith("\t"))) {
      this.#field += line;
      return null;
    }
    if (FROM_LINE.test(line)) {
      this.#nextField(`MBOX-Line: ${line}`);
      return null;
    }
    if (fieldName(line) !== null) {
      this.#nextField(line);
      return null;
    }
    this.#endHeader();
    return line === "\n" ? [BLANK_LINE] : [BLANK_LINE, ...pieces];
  }

  #nextField(field: string | null): void {
    if (this.#field !== null) this.#onField(this.#field);
    this.#field = field;
  }

  #endHeader(): void {
    this.#nextField(null);
    this.#inBody = true;
  }

  #pass(pieces: readonly Buffer[]): Buffer[] {
    const body = pieces.filter((piece) => piece.length > 0);
    this.#lastByte = body.at(-1)?.at(-1) ?? this.#lastByte;
    return body;
  }
}
