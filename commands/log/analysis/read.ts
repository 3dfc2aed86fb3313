/** Lines out of chunks of bytes, with their stamps, given to whom they concern. */

import { plainBytes } from "../../../qmail/log/indimail.ts";
import { classify, type OtherLine } from "../../../qmail/log/other-lines.ts";
import { SendScanner } from "../../../qmail/log/send-scanner.ts";
import { latin1, StampReader } from "../../../qmail/log/stamp.ts";
import type { Matcher } from "./matcher.ts";
import { mayBeMatchup, readMatchup } from "./matchup-lines.ts";

const NEWLINE = 10;
const RETURN = 13;
/** What comes behind so many bytes of a line is not looked at. */
const LINE_MAX = 1 << 16;

/** Cuts chunks into lines. */
export class LineCutter {
  readonly #line: (bytes: Uint8Array, from: number, to: number) => void;
  #rest: Buffer[] = [];
  #restLength = 0;

  constructor(line: (bytes: Uint8Array, from: number, to: number) => void) {
    this.#line = line;
  }

  push(chunk: Buffer): void {
    let at = 0;
    if (this.#restLength > 0) {
      const end = chunk.indexOf(NEWLINE);
      this.#keep(end < 0 ? chunk : chunk.subarray(0, end));
      if (end < 0) return;
      this.end();
      at = end + 1;
    }
    for (let end = chunk.indexOf(NEWLINE, at); end >= 0; end = chunk.indexOf(NEWLINE, at)) {
      this.#line(chunk, at, end > at && chunk[end - 1] === RETURN ? end - 1 : end);
      at = end + 1;
    }
    if (at < chunk.length) this.#keep(chunk.subarray(at));
  }

  /** The last line, when it has no newline. */
  end(): void {
    const rest = Buffer.concat(this.#rest);
    this.#rest = [];
    this.#restLength = 0;
    if (rest.length > 0) this.#line(rest, 0, rest.length);
  }

  #keep(bytes: Buffer): void {
    if (this.#restLength >= LINE_MAX) return;
    // The chunk is another's when the next comes.
    this.#rest.push(Buffer.from(bytes.subarray(0, LINE_MAX)));
    this.#restLength += bytes.length;
  }
}

/** What there was in the log beside the mail. */
export interface Reading {
  lines: number;
  bytes: number;
  /** Lines that nobody knows, and the first of them. */
  unknown: number;
  readonly unknownLines: string[];
  /** Lines without a time: not counted in anything. */
  unstamped: number;
  /** Lines of which it is known what they say, and when. */
  understood: number;
}

export interface LogListener {
  readonly matcher: Matcher;
  /** A line of another program. */
  other?(line: OtherLine, ms: number): void;
}

const SHOWN_MAX = 20;

/** "480 of 500 lines (96 %)". */
export function understood({ lines, understood }: Reading): string {
  if (understood === lines) return lines === 1 ? "1 line" : `all ${lines} lines`;
  // Never "100 %" of what is not all, nor "0 %" of what is not nothing.
  const share = Math.min(
    99,
    Math.max(understood > 0 ? 1 : 0, Math.round((100 * understood) / lines)),
  );
  return `${understood} of ${lines} lines (${share} %)`;
}

/** Reads a log from chunks into `listener`. */
export class LogReader {
  readonly reading: Reading = {
    lines: 0,
    bytes: 0,
    unknown: 0,
    unknownLines: [],
    unstamped: 0,
    understood: 0,
  };
  readonly #listener: LogListener;
  readonly #stamp: StampReader;
  readonly #scanner: SendScanner;
  readonly #cutter = new LineCutter((bytes, from, to) => this.#line(bytes, from, to));

  constructor(listener: LogListener, now: number) {
    this.#listener = listener;
    this.#stamp = new StampReader(now);
    this.#scanner = new SendScanner(listener.matcher);
  }

  push(chunk: Buffer): void {
    this.reading.bytes += chunk.length;
    this.#cutter.push(chunk);
  }

  /** A file has ended: what is left is a line. */
  cut(): void {
    this.#cutter.end();
  }

  #line(bytes: Uint8Array, from: number, to: number): void {
    if (from === to) return;
    this.reading.lines++;
    this.#stamp.read(bytes, from, to);
    const { ms, at } = this.#stamp;
    if (this.#ofMail(bytes, from, to)) this.reading.understood++;
    else this.#other(latin1(bytes, at, to), ms);
  }

  /** True for a line of qmail-send's, or one that matchup made of several; the matcher has it. */
  #ofMail(bytes: Uint8Array, from: number, to: number): boolean {
    const { ms, at, continued } = this.#stamp;
    const { matcher } = this.#listener;
    if (Number.isNaN(ms)) {
      if (mayBeMatchup(bytes, from) && readMatchup(matcher, latin1(bytes, from, to))) return true;
      this.reading.unstamped++;
      return false;
    }
    const plain = plainBytes(bytes, at, to);
    matcher.ms = ms;
    matcher.bytes = plain ?? bytes;
    const known = plain
      ? this.#scanner.scan(plain, 0, plain.length)
      : this.#scanner.scan(bytes, at, to);
    return known || continued;
  }

  #other(text: string, ms: number): void {
    const line = classify(text, this.#stamp.tag);
    if (!line) {
      this.reading.unknown++;
      if (this.reading.unknownLines.length < SHOWN_MAX) this.reading.unknownLines.push(text);
    } else if (!Number.isNaN(ms)) {
      this.reading.understood++;
      this.#listener.other?.(line, ms);
    }
  }
}
