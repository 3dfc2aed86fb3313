/** qmail-inject(8): completes a message's header and queues it. */

import { readFileSync } from "node:fs";
import { type ByteEnv, programArgs } from "../arguments.ts";
import { ConstSet } from "../control/constmap.ts";
import { Control } from "../control/control.ts";
import { EXIT } from "../exit.ts";
import { getopt } from "../getopt.ts";
import type { Qmail } from "../queue/qmail.ts";
import { quoteAddress } from "../quote.ts";
import { type Context, exitWith, type Outcome, programContext, refused } from "./context.ts";
import { putAndWait } from "./copy.ts";
import { Header } from "./header.ts";
import { HeaderBody } from "./headerbody.ts";
import { readIdentity } from "./identity.ts";
import { type Domains, readDomains, rewriteAddress } from "./rewrite.ts";
import { tokenise, unquote } from "./token822.ts";

const USAGE = "usage: qmail-inject [ -nNaAhH ] [ -fsender ] [ recip ... ]";

export interface InjectContext extends Context {
  /** Refuses a message without recipients; qmail-inject itself queues it, and nobody gets it. */
  readonly needRecipients?: boolean;
}

/** What was queued, if `queued`. */
export interface InjectOutcome extends Outcome {
  readonly queued?: {
    readonly qp: number;
    readonly sender: string;
    readonly recipients: readonly string[];
  };
}

interface Job {
  /** From the command line, complete. */
  readonly recipients: readonly string[];
  readonly queue: boolean;
  readonly header: Header;
  readonly useHeader: boolean;
}

/** Runs qmail-inject with the byte strings `args`. */
export async function inject(
  args: readonly string[],
  context: InjectContext,
): Promise<InjectOutcome> {
  let job: Job | string;
  try {
    job = prepare(args, context);
  } catch (error) {
    return { code: EXIT.soft, message: `read error: ${(error as Error).message}` };
  }
  return typeof job === "string" ? refused(job) : await transfer(job, context);
}

function prepare(args: readonly string[], context: Context): Job | string {
  const parsed = getopt(args, "aAhHnNf:");
  if (typeof parsed === "string") return `${parsed}; ${USAGE}`;
  const letters = parsed.options.map(([letter]) => letter);
  const asked = letters.findLast((letter) => /[aAhH]/.test(letter)) ?? "A";
  const strategy = asked !== "A" ? asked : parsed.rest.length > 0 ? "a" : "h";

  const control = new Control(context.home);
  const domains = readDomains(control, context.env);
  if (typeof domains === "string") return domains;
  const given = parsed.options.findLast(([letter]) => letter === "f")?.[1];
  const sender = given === undefined ? null : completeAddress(given, domains);
  if (given !== undefined && sender === null) return unparsable(given);
  const words = strategy === "h" ? [] : parsed.rest;
  const recipients = words.map((word) => completeAddress(word, domains));
  const bad = words[recipients.findIndex((address) => !address)];
  if (bad !== undefined) return unparsable(bad);
  const useHeader = strategy !== "a";
  const header = new Header({
    domains,
    identity: readIdentity(context.env),
    idhost: context.env.QMAILIDHOST ?? control.lineOr("idhost", true, "idhost"),
    now: context.now,
    pid: context.pid,
    sender,
    useRecipients: useHeader,
    isList: readLists(context.env),
  });
  const queue = letters.findLast((letter) => /[nN]/.test(letter)) !== "n";
  return { recipients: recipients as string[], queue, header, useHeader };
}

function unparsable(address: string): string {
  return `unable to parse address: ${address}`;
}

/** The plain address `text` with a full host name; null when there is no such thing. */
function completeAddress(text: string, domains: Domains): string | null {
  if (text.includes("\n")) return null;
  const tokens = tokenise(quoteAddress(text));
  const address = tokens && rewriteAddress(tokens, domains);
  return address && unquote(address);
}

/** Whether an address is in the file QMAILMFTFILE. */
function readLists(env: ByteEnv): (address: string) => boolean {
  if (env.QMAILMFTFILE === undefined) return () => false;
  const lines = readIfThere(env.QMAILMFTFILE)
    .split("\n")
    .map((line) => line.replace(/[ \t]+$/, ""))
    .filter((line) => line !== "" && !line.startsWith("#"));
  const lists = new ConstSet(lines);
  return (address) => lists.has(address);
}

function readIfThere(path: string): string {
  try {
    return readFileSync(Buffer.from(path, "latin1"), "latin1");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

/** Passes the message through to the queue or to standard output. */
async function transfer(job: Job, context: InjectContext): Promise<InjectOutcome> {
  const message = new HeaderBody((field) => job.header.field(field));
  const chunks = context.input[Symbol.asyncIterator]();
  let qmail: Qmail | null = null;
  try {
    const bodyStart = await readHeader(chunks, message);
    const finished = job.header.finish();
    if (typeof finished === "string") return refused(finished);
    const { header, sender } = finished;
    const recipients = [...job.recipients, ...(job.useHeader ? finished.recipients : [])];
    if (context.needRecipients && recipients.length === 0) return refused("no recipients");
    if (job.queue) qmail = (await context.queue()).open();
    const write = writer(qmail, context);
    const start = qmail ? header : `Return-Path: <${quoteAddress(sender)}>\n${header}`;
    await writeAll([Buffer.from(start, "latin1"), ...bodyStart], write);
    for await (const chunk of { [Symbol.asyncIterator]: () => chunks }) {
      await writeAll(message.push(chunk), write);
    }
    await writeAll(message.end(), write);
    return qmail ? await submit(qmail, sender, recipients) : { code: EXIT.ok, message: "" };
  } catch (error) {
    qmail?.abort();
    const doing = job.queue ? "read error" : "unable to copy the message";
    return { code: EXIT.soft, message: `${doing}: ${(error as Error).message}` };
  }
}

/** Takes the whole header; returns what of the body came with its end. */
async function readHeader(
  chunks: AsyncIterator<Buffer>,
  message: HeaderBody,
): Promise<readonly Buffer[]> {
  for (;;) {
    const { done, value } = await chunks.next();
    if (done) return message.end();
    const body = message.push(value);
    if (message.inBody) return body;
  }
}

type Writer = (bytes: Buffer) => Promise<void>;

function writer(qmail: Qmail | null, context: Context): Writer {
  return qmail ? (bytes) => putAndWait(qmail, bytes) : (bytes) => context.print(bytes);
}

async function writeAll(pieces: readonly Buffer[], write: Writer): Promise<void> {
  for (const piece of pieces) await write(piece);
}

async function submit(
  qmail: Qmail,
  sender: string,
  recipients: readonly string[],
): Promise<InjectOutcome> {
  const result = await qmail.close(sender, recipients);
  if (!result.ok) return { code: result.permanent ? EXIT.hard : EXIT.soft, message: result.text };
  return { code: EXIT.ok, message: "", queued: { qp: result.qp, sender, recipients } };
}

if (import.meta.main) {
  exitWith("qmail-inject", await inject(programArgs(), programContext()));
}
