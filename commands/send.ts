/** `qmailctl send`: puts a message into the queue, from standard input or from flags. */

import { byteEnv, toBytes } from "../qmail/arguments.ts";
import { plainAddresses } from "../qmail/inject/addresslist.ts";
import { programContext, toText } from "../qmail/inject/context.ts";
import { senderEnv } from "../qmail/inject/identity.ts";
import { inject } from "../qmail/inject/qmail-inject.ts";
import type { QueueDoor } from "../qmail/queue/qmail.ts";
import { quoteAddress } from "../qmail/quote.ts";
import { CommandError, type Output, UsageError } from "./output.ts";

export interface SendOptions {
  home: string;
  /** The envelope sender and, when the message has no From field, that too; `<>` for none. */
  from?: string;
  to: readonly string[];
  subject?: string;
  body?: string;
  /** With a subject and no body: the body. With neither: a whole message with its header. */
  input?: NodeJS.ReadableStream;
  output: Output;
  /** Where messages go; the queue in `home` by default. */
  queue?: QueueDoor;
  env?: NodeJS.ProcessEnv;
}

/** Queues one message and says under which number. */
export async function send(options: SendOptions): Promise<void> {
  const { to, output, queue } = options;
  if (!options.input && options.subject === undefined && options.body === undefined) {
    const hint = "Give --subject and --body, or a message on standard input.";
    throw new UsageError("nothing to send", [hint]);
  }
  const program = programContext(options.home);
  const args: string[] = [];
  let env = byteEnv(options.env ?? process.env);
  if (options.from !== undefined) {
    const [sender, ...more] = addresses(options.from);
    if (sender === undefined || more.length > 0) throw malformed(options.from);
    args.push("-f", sender);
    env = senderEnv(env, sender);
  }
  const outcome = await inject([...args, "--", ...to.flatMap(addresses)], {
    ...program,
    env,
    input: message(options),
    queue: queue ? () => Promise.resolve(queue) : program.queue,
    needRecipients: true,
  });
  if (!outcome.queued) throw failure(outcome);
  const { qp, sender, recipients } = outcome.queued;
  output.line(`queued as qp ${qp}`);
  output.data({ qp, sender: toText(sender), recipients: recipients.map(toText) });
}

function failure({ code, message }: { code: number; message: string }): CommandError {
  const reason = toText(message).trim();
  const hints =
    reason === "no recipients" ? ["Name them with --to, or in a To, Cc or Bcc field."] : [];
  return new CommandError(`unable to send the message: ${reason}`, { code, hints });
}

/** The addresses in a flag, as byte strings. */
function addresses(text: string): readonly string[] {
  const found = plainAddresses(toBytes(text));
  if (found === null) throw malformed(text);
  return found;
}

function malformed(text: string): UsageError {
  return new UsageError(`unable to parse address "${text}"`);
}

async function* message(options: SendOptions): AsyncGenerator<Buffer> {
  const { subject, body, input } = options;
  if (subject !== undefined || body !== undefined) yield Buffer.from(header(options));
  if (body !== undefined) yield Buffer.from(body);
  else if (input) for await (const chunk of input) yield Buffer.from(chunk);
}

/** The header that the flags make; qmail-inject adds the rest. */
function header({ from, to, subject }: SendOptions): string {
  const fields: string[] = [];
  if (from?.includes("<") && from !== "<>") fields.push(`From: ${oneLine(from)}`);
  if (to.length > 0) fields.push(`To: ${to.map(written).join(", ")}`);
  if (subject !== undefined) fields.push(`Subject: ${encodeWords(oneLine(subject))}`);
  fields.push("MIME-Version: 1.0");
  fields.push("Content-Type: text/plain; charset=utf-8");
  fields.push("Content-Transfer-Encoding: 8bit");
  return `${fields.join("\n")}\n\n`;
}

function written(address: string): string {
  return /[,<]/.test(address) ? oneLine(address) : quoteAddress(address);
}

function oneLine(text: string): string {
  return text.replace(/[\r\n]+/g, " ");
}

/** Non-ASCII `text` as encoded words (RFC 2047), each short enough for a line of its own. */
function encodeWords(text: string): string {
  if (/^[ -~]*$/.test(text)) return text;
  const words: string[] = [];
  let part = "";
  for (const char of text) {
    if (Buffer.byteLength(part + char) > 42) {
      words.push(part);
      part = "";
    }
    part += char;
  }
  return [...words, part]
    .map((word) => `=?utf-8?B?${Buffer.from(word).toString("base64")}?=`)
    .join("\n ");
}
