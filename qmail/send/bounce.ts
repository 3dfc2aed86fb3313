/** Bounces: what is said of failed recipients, and the message that says it (qmail-send(8), QSBMF). */

import { closeSync, openSync, readSync } from "node:fs";
import type { Control } from "../control/control.ts";
import { date822 } from "../date822.ts";
import type { Qmail, QueueResult } from "../queue/qmail.ts";
import { quote, quoteAddress } from "../quote.ts";
import { type RewriteTables, stripPrepend } from "./rewrite.ts";

const CHUNK = 64 * 1024;

/** Sender of a double bounce: mail to it that fails is thrown away. */
const DOUBLE_BOUNCE_SENDER = "#@[]";

export interface BounceNames {
  readonly from: string;
  readonly host: string;
  readonly doubleTo: string;
}

export function readBounceNames(control: Control): BounceNames {
  const doubleHost = control.lineOr("doublebouncehost", true, "doublebouncehost");
  return {
    from: control.lineOr("bouncefrom", false, "MAILER-DAEMON"),
    host: control.lineOr("bouncehost", true, "bouncehost"),
    doubleTo: `${control.lineOr("doublebounceto", false, "postmaster")}@${doubleHost}`,
  };
}

/** The paragraph about one failed recipient: `<address>:`, the report, an empty line. */
export function bounceEntry(tables: RewriteTables, recipient: string, report: string): string {
  const name = stripPrepend(tables.virtualdomains, recipient).replaceAll("\n", "_");
  let text = `<${name}>:\n${report}`;
  if (report !== "" && !report.endsWith("\n")) text += "\n";
  // An empty line ends a paragraph in QSBMF, so a newline behind a newline becomes a slash.
  return `${text.slice(0, -1).replace(/(?<=\n)\n/g, "/")}${text.slice(-1)}\n`;
}

/** Where the bounce of a message from `sender` goes; null for a triple bounce. */
export function bounceEnvelope(
  sender: string,
  names: BounceNames,
): { sender: string; recipient: string } | null {
  if (sender === DOUBLE_BOUNCE_SENDER) return null;
  if (sender === "") return { sender: DOUBLE_BOUNCE_SENDER, recipient: names.doubleTo };
  return { sender: "", recipient: sender };
}

/** The sender that a bounce goes to: `owner-@host-@[]` stands for `owner-@host`. */
export function bounceSender(sender: string): string {
  return sender.endsWith("-@[]") ? sender.slice(0, -4) : sender;
}

export interface Bounce {
  /** Of the message that failed, after `bounceSender`. */
  readonly sender: string;
  readonly names: BounceNames;
  readonly now: number;
  /** Paths of the text about the recipients and of the message. */
  readonly textPath: string;
  readonly messPath: string;
}

/**
 * Queues the bounce through `message`. Resolves with the queue's answer.
 * Throws when a file cannot be read; nothing is queued then.
 */
export async function injectBounce(message: Qmail, bounce: Bounce): Promise<QueueResult | null> {
  const envelope = bounceEnvelope(bounce.sender, bounce.names);
  if (!envelope) return null;
  try {
    message.put(Buffer.from(bounceHeader(bounce, envelope.recipient), "latin1"));
    await putFile(message, bounce.textPath);
    const original = bounce.sender === "" ? "the original bounce" : "a copy of the message";
    const returnPath = `Return-Path: <${quoteAddress(bounce.sender)}>\n`;
    message.put(Buffer.from(`--- Below this line is ${original}.\n\n${returnPath}`, "latin1"));
    await putFile(message, bounce.messPath);
  } catch (error) {
    message.abort();
    throw error;
  }
  return message.close(envelope.sender, [envelope.recipient]);
}

function bounceHeader(bounce: Bounce, recipient: string): string {
  const { from, host } = bounce.names;
  const explanation =
    bounce.sender === ""
      ? "I tried to deliver a bounce message to this address, but the bounce bounced!\n"
      : "I'm afraid I wasn't able to deliver your message to the following addresses.\n" +
        "This is a permanent error; I've given up. Sorry it didn't work out.\n";
  return (
    `Date: ${date822(bounce.now)}\nFrom: ${quote(from)}@${host}\n` +
    `To: ${quoteAddress(recipient)}\nSubject: failure notice\n\n` +
    `Hi. This is the qmail-send program at ${host}.\n${explanation}\n`
  );
}

async function putFile(message: Qmail, path: string): Promise<void> {
  const fd = openSync(path, "r");
  try {
    for (;;) {
      const chunk = Buffer.allocUnsafe(CHUNK);
      const count = readSync(fd, chunk);
      if (count === 0) return;
      message.put(chunk.subarray(0, count));
      if (message.full) await message.drained();
    }
  } finally {
    closeSync(fd);
  }
}
