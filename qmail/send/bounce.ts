/** Bounces: what is said of failed recipients, and the message that says it (qmail-send(8), QSBMF). */

import { randomBytes } from "node:crypto";
import type { Control } from "../control/control.ts";
import type { Qmail, QueueResult } from "../queue/qmail.ts";
import {
  type Bounce,
  bounceHeader,
  greeting,
  pieces,
  putPieces,
  putText,
  returnPath,
} from "./bounce-parts.ts";
import { putDsn } from "./dsn.ts";
import { type RewriteTables, stripPrepend } from "./rewrite.ts";

/** Sender of a double bounce: mail to it that fails is thrown away. */
const DOUBLE_BOUNCE_SENDER = "#@[]";
/** Of a message larger than this a delivery status notification gives only the header back. */
const MAX_BYTES = 50_000;

/** What the control files say of bounces. */
export interface BounceOptions {
  readonly from: string;
  readonly host: string;
  readonly doubleTo: string;
  /** qsbmf: as qmail writes it. dsn: a delivery status notification, with messages up to so many bytes. */
  readonly format: "qsbmf" | "dsn";
  readonly maxBytes: number;
}

/** control/bounceformat names a format that there is not. */
export class BounceFormatError extends Error {}

/** As the control files say. Throws BounceFormatError. */
export function readBounceOptions(control: Control): BounceOptions {
  const doubleHost = control.lineOr("doublebouncehost", true, "doublebouncehost");
  return {
    from: control.lineOr("bouncefrom", false, "MAILER-DAEMON"),
    host: control.lineOr("bouncehost", true, "bouncehost"),
    doubleTo: `${control.lineOr("doublebounceto", false, "postmaster")}@${doubleHost}`,
    format: bounceFormat(control.lineOr("bounceformat", false, "qsbmf")),
    maxBytes: control.int("bouncemaxbytes", MAX_BYTES),
  };
}

function bounceFormat(text: string): BounceOptions["format"] {
  if (text === "qsbmf" || text === "dsn") return text;
  throw new BounceFormatError(`control/bounceformat holds "${text}"; there is qsbmf and dsn`);
}

/** The paragraph about one failed recipient: `<address>:`, the report, an empty line. */
export function bounceEntry(tables: RewriteTables, recipient: string, report: string): string {
  const name = stripPrepend(tables.virtualdomains, recipient).replaceAll("\n", "_");
  let text = `<${name}>:\n${report}`.replaceAll("\0", "?");
  if (report !== "" && !report.endsWith("\n")) text += "\n";
  // An empty line ends a paragraph in QSBMF, so a newline behind a newline becomes a slash.
  return `${text.slice(0, -1).replace(/(?<=\n)\n/g, "/")}${text.slice(-1)}\n`;
}

/**
 * So many bytes at the beginning of `text`, paragraphs one after another, are whole. What is behind them was being
 * added when the power went: it ends anywhere, or has zeros where nothing had been written.
 */
export function wholeParagraphs(text: Buffer): number {
  const zero = text.indexOf(0);
  const end = text.subarray(0, zero < 0 ? text.length : zero).lastIndexOf("\n\n");
  return end < 0 ? 0 : end + 2;
}

/** Where the bounce of a message from `sender` goes; null for a triple bounce. */
export function bounceEnvelope(
  sender: string,
  options: Pick<BounceOptions, "doubleTo">,
): { sender: string; recipient: string } | null {
  if (sender === DOUBLE_BOUNCE_SENDER) return null;
  if (sender === "") return { sender: DOUBLE_BOUNCE_SENDER, recipient: options.doubleTo };
  return { sender: "", recipient: sender };
}

/** The sender that a bounce goes to: `owner-@host-@[]` stands for `owner-@host`. */
export function bounceSender(sender: string): string {
  return sender.endsWith("-@[]") ? sender.slice(0, -4) : sender;
}

/**
 * Queues the bounce through `message`. Resolves with the queue's answer.
 * Throws when a file cannot be read; nothing is queued then.
 */
export async function injectBounce(
  message: Qmail,
  bounce: Bounce,
  options: BounceOptions,
): Promise<QueueResult | null> {
  const envelope = bounceEnvelope(bounce.sender, options);
  if (!envelope) return null;
  const { recipient } = envelope;
  try {
    if (options.format === "qsbmf") await putQsbmf(message, bounce, recipient);
    else {
      const unique = `=_${randomBytes(18).toString("hex")}`;
      await putDsn(message, bounce, { recipient, unique, maxBytes: options.maxBytes });
    }
  } catch (error) {
    message.abort();
    throw error;
  }
  return message.close(envelope.sender, [recipient]);
}

async function putQsbmf(message: Qmail, bounce: Bounce, recipient: string): Promise<void> {
  putText(message, `${bounceHeader(bounce, recipient)}\n${greeting(bounce)}`);
  await putPieces(message, bounce.text());
  const original = bounce.sender === "" ? "the original bounce" : "a copy of the message";
  putText(message, `--- Below this line is ${original}.\n\n${returnPath(bounce)}`);
  await putPieces(message, pieces(bounce.messPath));
}
