/** Bytes of the queue as a person or a script may have them. */

import { readable } from "../log/reason.ts";

const PLAIN = /^[ -~]*$/;

/** A byte string as text: UTF-8 where it is that, else Latin-1. */
export function asText(bytes: string): string {
  if (PLAIN.test(bytes)) return bytes;
  const text = Buffer.from(bytes, "latin1").toString("utf8");
  return text.includes("\ufffd") ? bytes : text;
}

/** As `asText`, with nothing in it that a terminal would obey. */
export function printable(bytes: string): string {
  return PLAIN.test(bytes) ? bytes : printableText(asText(bytes));
}

/** `text` with nothing in it that a terminal would obey. */
export function printableText(text: string): string {
  return text.replace(/[\p{C}\u2028\u2029]/gu, "?");
}

/** `text` in at most `width` characters: the middle is left out, since both ends of an address say more. */
export function shortened(text: string, width: number): string {
  if (text.length <= width) return text;
  const tail = Math.floor((width - 1) / 2);
  return `${text.slice(0, width - 1 - tail)}…${text.slice(text.length - tail)}`;
}

/** A log's text without the "_" that qmail-send writes for spaces. A "/" may be one, or the end of a line: only the last are sure. */
export function errorText(error: string): string {
  return printable(readable(error).trim());
}

const UNITS = ["", "k", "M", "G", "T"];

/** Bytes in three or four characters: "512", "2.0k", "15k", "1.2M". */
export function sizeText(bytes: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= 1000 && unit < UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  return (unit > 0 && size < 9.95 ? size.toFixed(1) : size.toFixed(0)) + UNITS[unit];
}

const SPANS = [
  [86_400, "d"],
  [3600, "h"],
  [60, "m"],
] as const;

/** A time of so many milliseconds in its largest unit: "45s", "12m", "2h", "13d". */
export function spanText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  // Below two of a unit the next smaller says more.
  const [size, unit] = SPANS.find(([length]) => seconds >= 2 * length) ?? [1, "s"];
  return `${Math.floor(seconds / size)}${unit}`;
}
