/**
 * Text from the network on its way to a terminal. Addresses, headers and log lines may hold anything:
 * bytes that move the cursor, set the title or hide what stands behind them must not get there.
 */

import { Transform } from "node:stream";

/** Control, format (bidi among them), private, unassigned, lone surrogates, line and paragraph separators. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}]/gu;
const PLAIN = /^[ -~]*$/;
/** Takes no column of its own. */
const COMBINING = /^[\p{Mn}\p{Me}]$/u;
/** Takes two columns: East Asian wide and fullwidth (UAX #11), and what is an emoji without being asked. */
const WIDE =
  /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Bopomofo}\p{Script=Yi}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]$/u;
/** Katakana and Hangul of half a width. */
const HALF = /^[\uff61-\uffdc]$/u;

/** A byte string as a person reads it: UTF-8 where it is that, one "?" for each thing that must not be shown. */
export function printable(bytes: string): string {
  if (PLAIN.test(bytes)) return bytes;
  return harmless(Buffer.from(bytes, "latin1").toString());
}

/** As `printable`, for what is text already: what the user typed, the system's messages. */
export function harmless(text: string): string {
  return PLAIN.test(text) ? text : text.normalize("NFC").replace(UNSAFE, "?");
}

const PLAIN_LINES = /^[\n\t -~]*$/;
const UNSAFE_IN_LINES =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what colours are made of
  /(\u001b\[[\d;]*m)|(?![\n\t])[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** As `harmless`, for lines that are made already: newlines, tabs and colours stay. */
export function harmlessLines(text: string): string {
  if (PLAIN_LINES.test(text)) return text;
  return text.replace(UNSAFE_IN_LINES, (_, colour?: string) => colour ?? "?");
}

/** JSON that says the same, with escapes for what must not be shown: a terminal would obey it there, too. */
export function harmlessJson(json: string): string {
  if (PLAIN_LINES.test(json)) return json;
  return json.replace(UNSAFE_IN_LINES, escaped);
}

function escaped(text: string): string {
  let json = "";
  for (let at = 0; at < text.length; at++) {
    json += `\\u${text.charCodeAt(at).toString(16).padStart(4, "0")}`;
  }
  return json;
}

/** The columns that `text`, printable and without colours, takes. */
export function columns(text: string): number {
  if (PLAIN.test(text)) return text.length;
  let sum = 0;
  for (const character of text) sum += columnsOf(character);
  return sum;
}

function columnsOf(character: string): number {
  if (COMBINING.test(character)) return 0;
  return WIDE.test(character) && !HALF.test(character) ? 2 : 1;
}

/** `text` in at most `width` columns; what was cut off is told by "…". */
export function clip(text: string, width: number): string {
  if (columns(text) <= width) return text;
  if (width <= 0) return "";
  let clipped = "";
  let sum = 0;
  for (const character of text) {
    sum += columnsOf(character);
    if (sum > width - 1) break;
    clipped += character;
  }
  return `${clipped}…`;
}

/** `text` in exactly `width` columns. */
export function fit(text: string, width: number, align: "left" | "right" = "left"): string {
  const clipped = clip(text, width);
  const space = " ".repeat(Math.max(0, width - columns(clipped)));
  return align === "right" ? space + clipped : clipped + space;
}

/** A longer line is shown in pieces: a message need not have lines. */
const LINE_MAX = 64 * 1024;
const NEWLINE = 10;

/** A stream of bytes as a person reads it: lines and tabs stay, the rest as `printable` has it. */
export function printableLines(): Transform {
  let rest = Buffer.alloc(0);
  const show = (line: Buffer) =>
    line
      .toString("latin1")
      .replace(/\r?\n$/, "\n")
      .split(/([\t\n])/)
      .map((part) => (part === "\t" || part === "\n" ? part : printable(part)))
      .join("");
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      let text = "";
      rest = Buffer.concat([rest, chunk]);
      for (;;) {
        const newline = rest.indexOf(NEWLINE);
        const end = newline >= 0 ? newline + 1 : rest.length > LINE_MAX ? LINE_MAX : 0;
        if (end === 0) break;
        text += show(rest.subarray(0, end));
        rest = rest.subarray(end);
      }
      done(null, text);
    },
    flush(done) {
      done(null, show(rest));
    },
  });
}
