/** The header of a queued message, decoded for a person: RFC 5322 fields with RFC 2047 words. */

import { closeSync, readSync } from "node:fs";
import { openIfThere } from "../../qmail/files/foreign-directory.ts";
import { madeOf } from "../../qmail/queue/made.ts";

/** Longer headers are cut: nobody selects by what comes so late. */
export const HEADER_MAX = 256 * 1024;
/** Most headers are within so many bytes. */
const FIRST = 8 * 1024;

export interface Field {
  readonly name: string;
  /** Unfolded, decoded. */
  readonly value: string;
}

export class Header {
  readonly fields: readonly Field[];

  constructor(fields: readonly Field[]) {
    this.fields = fields;
  }

  /** The values of all fields called `name`; capitals do not count. */
  values(name: string): string[] {
    const wanted = name.toLowerCase();
    return this.fields
      .filter((field) => field.name.toLowerCase() === wanted)
      .map(({ value }) => value);
  }

  /** The first value of the field `name`; empty without one. */
  value(name: string): string {
    return this.values(name)[0] ?? "";
  }
}

/**
 * The header of the message in the file `path`, as far as HEADER_MAX; `made` says which message is meant. Null when
 * there is no such file, or it is another message's. Throws when the file cannot be read.
 */
export function readHeader(path: string, made: number): Header | null {
  const opened = openIfThere(path);
  if (opened === null) return null;
  const { fd, stat } = opened;
  try {
    if (madeOf(stat) !== made) return null;
    let bytes = Buffer.allocUnsafe(FIRST);
    let length = 0;
    for (;;) {
      const count = readSync(fd, bytes, length, bytes.length - length, length);
      const from = Math.max(0, length - 3);
      length += count;
      const known = bytes.subarray(0, length);
      if (count === 0 || length >= HEADER_MAX || endOfHeader(known, from) >= 0) {
        return parseHeader(known);
      }
      if (length === bytes.length) bytes = Buffer.concat([bytes], bytes.length * 4);
    }
  } finally {
    closeSync(fd);
  }
}

/** The fields of a message that begins with `bytes`. Lines that are no fields are passed over. */
export function parseHeader(bytes: Buffer): Header {
  const end = endOfHeader(bytes, 0);
  const text = bytes.toString("latin1", 0, end < 0 ? bytes.length : end);
  const lines = text
    .replace(/\r\n/g, "\n")
    .replace(/\n(?=[ \t])/g, "")
    .split("\n");
  return new Header(
    lines.flatMap((line) => {
      const [, name, value = ""] = /^([!-9;-~]+)[ \t]*:(.*)$/s.exec(line) ?? [];
      return name === undefined ? [] : [{ name, value: decode(value.trim()) }];
    }),
  );
}

/** Where the empty line behind the header is, looked for behind `from`; -1 when it is not there. */
function endOfHeader(bytes: Buffer, from: number): number {
  if (from === 0 && bytes[0] === 10) return 0;
  for (let at = bytes.indexOf(10, from); at >= 0; at = bytes.indexOf(10, at + 1)) {
    const next = bytes[at + 1] === 13 ? bytes[at + 2] : bytes[at + 1];
    if (next === 10) return at + 1;
  }
  return -1;
}

/** RFC 2047 section 2: of what stands between two question marks nothing can be in two ways. */
const WORD = /=\?([!->@-~]+)\?([bq])\?([!->@-~]*)\?=/gi;

/** A field's bytes as text: encoded words decoded, the rest as UTF-8 or, if it is none, Latin-1. */
export function decode(value: string): string {
  // Between two encoded words space is no text.
  const joined = value.replace(/(\?=)[ \t]+(?==\?)/g, "$1");
  return text(Buffer.from(joined, "latin1"), "utf-8").replace(
    WORD,
    (whole: string, charset: string, encoding: string, coded: string) => {
      const bytes = /b/i.test(encoding) ? Buffer.from(coded, "base64") : unquoted(coded);
      try {
        // Behind a star is the language (RFC 2231 section 5).
        return text(bytes, charset.split("*", 1)[0] ?? "");
      } catch {
        return whole;
      }
    },
  );
}

function unquoted(coded: string): Buffer {
  const bytes = coded
    .replaceAll("_", " ")
    .replace(/=([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1");
}

/** Throws RangeError when there is no such `charset`. */
function text(bytes: Buffer, charset: string): string {
  try {
    return new TextDecoder(charset, { fatal: charset === "utf-8" }).decode(bytes);
  } catch (error) {
    if (error instanceof RangeError) throw error;
    return bytes.toString("latin1");
  }
}
