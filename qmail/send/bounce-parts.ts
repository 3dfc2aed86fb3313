/** What both forms of a bounce consist of: the note to people, and texts copied from files. */

import { closeSync, openSync, readSync } from "node:fs";
import { date822 } from "../date822.ts";
import type { Qmail } from "../queue/qmail.ts";
import { quote, quoteAddress } from "../quote.ts";

const CHUNK = 64 * 1024;

/** A bounce to be written. */
export interface Bounce {
  /** Of the message that failed, after `bounceSender`. */
  readonly sender: string;
  /** control/bouncefrom and bouncehost. */
  readonly names: { readonly from: string; readonly host: string };
  /** Seconds since 1970. */
  readonly now: number;
  /** When the message that failed came in, seconds since 1970. */
  readonly birth: number;
  /** The text about the recipients from its beginning, piece by piece. Throws when it cannot be read. */
  text(): Iterable<Buffer>;
  /** Path of the message. */
  readonly messPath: string;
}

/** The header fields of a bounce to `recipient`. */
export function bounceHeader({ names, now }: Bounce, recipient: string): string {
  return (
    `Date: ${date822(now)}\nFrom: ${quote(names.from)}@${names.host}\n` +
    `To: ${quoteAddress(recipient)}\nSubject: failure notice\n`
  );
}

/** The first paragraph, for people; programs know a QSBMF bounce by it. */
export function greeting({ names, sender }: Bounce): string {
  const explanation =
    sender === ""
      ? "I tried to deliver a bounce message to this address, but the bounce bounced!\n"
      : "I'm afraid I wasn't able to deliver your message to the following addresses.\n" +
        "This is a permanent error; I've given up. Sorry it didn't work out.\n";
  return `Hi. This is the qmail-send program at ${names.host}.\n${explanation}\n`;
}

/** What stands before the message that is given back. */
export function returnPath({ sender }: Bounce): string {
  return `Return-Path: <${quoteAddress(sender)}>\n`;
}

/** The bytes of the file at `path`, piece by piece. Throws when it cannot be read. */
export function* pieces(path: string): Generator<Buffer> {
  const fd = openSync(path, "r");
  try {
    for (;;) {
      const chunk = Buffer.allocUnsafe(CHUNK);
      const count = readSync(fd, chunk);
      if (count === 0) return;
      yield chunk.subarray(0, count);
    }
  } finally {
    closeSync(fd);
  }
}

/** Adds `text`, a byte string, to `message`. */
export function putText(message: Qmail, text: string): void {
  message.put(Buffer.from(text, "latin1"));
}

/** Adds all of `parts` to `message`, no faster than it takes them. Rejects when they cannot be read. */
export async function putPieces(message: Qmail, parts: Iterable<Buffer>): Promise<void> {
  for (const piece of parts) {
    message.put(piece);
    if (message.full) await message.drained();
  }
}
