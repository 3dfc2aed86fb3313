/**
 * A bounce as programs read it: multipart/report with a note, a delivery status, and the message or its header
 * (RFC 3462 to 3464, 6522). The note is what a QSBMF bounce begins with, so that programs that know only that see it, too.
 */

import { isUtf8 } from "node:buffer";
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { date822 } from "../date822.ts";
import type { Qmail } from "../queue/qmail.ts";
import {
  type Bounce,
  bounceHeader,
  greeting,
  pieces,
  putPieces,
  putText,
  returnPath,
} from "./bounce-parts.ts";
import { parseParagraph, recipientFields } from "./dsn-fields.ts";

/** What is no part of the bounce itself. */
export interface DsnOptions {
  /** Of a larger message only the header goes back. */
  readonly maxBytes: number;
  /** Something that is in no message: it keeps the parts apart and names the bounce. */
  readonly unique: string;
}

/** So much of a header goes back. */
const HEADER_MAX = 64 * 1024;

/** Writes the bounce to `recipient` into `message`. Rejects when a file cannot be read. */
export async function putDsn(
  message: Qmail,
  bounce: Bounce,
  { recipient, maxBytes, unique }: DsnOptions & { readonly recipient: string },
): Promise<void> {
  const { names, birth } = bounce;
  const part = (headers: string) => putText(message, `\n--${unique}\n${headers}\n`);
  putText(message, bounceHeader(bounce, recipient));
  putText(
    message,
    `Message-ID: <${unique}@${names.host}>\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n` +
      `Content-Type: multipart/report; report-type=delivery-status;\n boundary="${unique}"\n` +
      "Content-Transfer-Encoding: 8bit\n",
  );
  part(
    "Content-Description: Notification\nContent-Type: text/plain; charset=utf-8\n" +
      "Content-Transfer-Encoding: 8bit\n",
  );
  putText(message, greeting(bounce));
  await putParagraphs(message, bounce.text(), (paragraph) => `${readable(paragraph)}\n`);
  part("Content-Description: Delivery report\nContent-Type: message/delivery-status\n");
  putText(message, `Reporting-MTA: dns; ${names.host}\nArrival-Date: ${date822(birth)}\n`);
  await putParagraphs(message, bounce.text(), (paragraph) => {
    const failure = parseParagraph(paragraph);
    return failure ? `\n${recipientFields(failure)}` : "";
  });
  const whole = statSync(bounce.messPath).size <= maxBytes;
  part(
    `Content-Description: ${whole ? "Undelivered message" : "Header of the undelivered message"}\n` +
      `Content-Type: ${whole ? "message/rfc822" : "text/rfc822-headers"}\nContent-Transfer-Encoding: 8bit\n`,
  );
  putText(message, returnPath(bounce));
  if (whole) await putPieces(message, pieces(bounce.messPath));
  else putText(message, headerOf(bounce.messPath));
  putText(message, `\n--${unique}--\n`);
}

/** Adds what `format` makes of each paragraph of `text`. */
async function putParagraphs(
  message: Qmail,
  text: Iterable<Buffer>,
  format: (paragraph: string) => string,
): Promise<void> {
  for (const paragraph of paragraphs(text)) {
    putText(message, format(paragraph));
    if (message.full) await message.drained();
  }
}

/** What stands between empty lines, each with its last newline. */
function* paragraphs(text: Iterable<Buffer>): Generator<string> {
  let rest = "";
  for (const piece of text) {
    rest += piece.toString("latin1");
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
      yield rest.slice(0, end + 1);
      rest = rest.slice(end + 2);
    }
  }
  if (rest !== "") yield rest;
}

/** Bytes that are no UTF-8 as "?": the part says that it is. */
function readable(text: string): string {
  return isUtf8(Buffer.from(text, "latin1")) ? text : text.replace(/[\x80-\xff]/g, "?");
}

/** The header in the file at `path`, with its last newline. */
function headerOf(path: string): string {
  const bytes = Buffer.alloc(HEADER_MAX);
  const fd = openSync(path, "r");
  try {
    const text = bytes.toString("latin1", 0, readSync(fd, bytes, 0, bytes.length, 0));
    const end = text.startsWith("\n") ? 0 : text.indexOf("\n\n");
    return text.slice(0, (end < 0 ? text.lastIndexOf("\n") : end) + 1);
  } finally {
    closeSync(fd);
  }
}
