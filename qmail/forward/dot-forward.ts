/** dot-forward(1): in a .qmail file, does what a sendmail-style .forward file says. */

import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import type { ByteEnv } from "../arguments.ts";
import { lowerAscii } from "../control/constmap.ts";
import { Control } from "../control/control.ts";
import { EXIT } from "../exit.ts";
import { getopt } from "../getopt.ts";
import {
  type Context,
  exitWith,
  type Outcome,
  programContext,
  refused,
  toText,
} from "../inject/context.ts";
import { copyToQueue } from "../inject/copy.ts";
import { type Domains, readDomains } from "../inject/rewrite.ts";
import { isAbsent, systemText } from "../local/failure.ts";
import type { Message } from "../spawn/message.ts";
import { stdinMessage } from "../spawn/stdin-message.ts";
import { ListError, type Recipient, recipientsIn } from "./sendmail-list.ts";
import { runShell } from "./shell.ts";

const USAGE = refused("usage: dot-forward [ -nN ] file ...");

/** Nothing more in the .qmail file is to be done. */
const DONE = 99;

/** What a .forward file asks for. */
export interface ForwardFile {
  /** In the order in which they are told. */
  readonly steps: readonly Recipient[];
  /** The user himself is among the recipients: the .qmail file goes on. */
  readonly direct: boolean;
}

/** What `text` of a .forward file means to the user of `env`; null: nothing at all. Throws ListError. */
export function parseForward(text: string, env: ByteEnv, domains: Domains): ForwardFile | null {
  const lines = text.split("\n").filter((line) => !line.startsWith("#"));
  const recipients = lines.flatMap((line) => recipientsIn(line, domains));
  if (recipients.length === 0) return null;
  for (const each of recipients) {
    if (each.type === "file") throw new ListError(`file delivery ${each.name} not supported`);
    if (each.type === "include") throw new ListError(`:include:${each.file} not supported`);
  }
  const steps = recipients.filter((each) => !isUser(each, env));
  return { steps, direct: steps.length < recipients.length };
}

function isUser(recipient: Recipient, { USER, HOST }: ByteEnv): boolean {
  if (recipient.type !== "address" || USER === undefined) return false;
  const user = lowerAscii(USER);
  if (recipient.bare !== null) return lowerAscii(recipient.bare) === user;
  return HOST !== undefined && lowerAscii(recipient.address) === `${user}@${lowerAscii(HOST)}`;
}

/** Runs dot-forward. */
export async function dotForward(
  args: readonly string[],
  context: Pick<Context, "env" | "home" | "queue" | "print">,
  message: () => Message,
): Promise<Outcome> {
  const parsed = getopt(args, "nN");
  if (typeof parsed === "string" || parsed.rest.length === 0) return USAGE;
  const domains = readDomains(new Control(context.home), context.env);
  if (typeof domains === "string") return soft(domains);
  try {
    const found = firstFile(parsed.rest, context.env, domains);
    if (parsed.options.at(-1)?.[0] === "n") return await describe(found, context);
    return found ? await follow(found, context, message) : { code: EXIT.ok, message: "" };
  } catch (error) {
    if (error instanceof ListError) return soft(error.message);
    throw error;
  }
}

/** The first of `files` that is there and says something. */
function firstFile(files: readonly string[], env: ByteEnv, domains: Domains): ForwardFile | null {
  for (const file of files) {
    const text = read(file);
    const found = text === null ? null : parseForward(text, env, domains);
    if (found) return found;
  }
  return null;
}

function read(file: string): string | null {
  let fd = -1;
  try {
    fd = openSync(file, "r");
    return readFileSync(fd, "latin1");
  } catch (error) {
    if (isAbsent(error)) return null;
    throw new ListError(`unable to read ${file}: ${systemText(error)}`);
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

async function describe(
  found: ForwardFile | null,
  { print }: Pick<Context, "print">,
): Promise<Outcome> {
  const lines = (found?.steps ?? []).map((step) =>
    step.type === "program" ? `pipe through ${step.command}\n` : `forward ${addressOf(step)}\n`,
  );
  const direct = found === null || found.direct;
  if (direct) lines.push("direct delivery\n");
  await print(Buffer.from(lines.join(""), "latin1"));
  return { code: direct ? EXIT.ok : DONE, message: "" };
}

function addressOf(step: Recipient): string {
  return step.type === "address" ? step.address : "";
}

async function follow(
  { steps, direct }: ForwardFile,
  context: Pick<Context, "env" | "queue">,
  message: () => Message,
): Promise<Outcome> {
  const { env } = context;
  const done = { code: direct ? EXIT.ok : DONE, message: "" };
  const input = message();
  const before = (env.UFLINE ?? "") + (env.RPLINE ?? "") + (env.DTLINE ?? "");
  for (const step of steps) {
    if (step.type !== "program") continue;
    const failed = await runShell(step.command, { message: input, before });
    if (failed) return failed;
  }
  const addresses = steps.filter(({ type }) => type === "address").map(addressOf);
  if (addresses.length === 0) return done;
  if (env.NEWSENDER === undefined) return refused("NEWSENDER not set");
  const qmail = (await context.queue()).open();
  try {
    await copyToQueue(qmail, Buffer.from(env.DTLINE ?? "", "latin1"), input.chunks());
  } catch (error) {
    qmail.abort();
    return soft(`unable to read message: ${systemText(error)}`);
  }
  const result = await qmail.close(env.NEWSENDER, addresses);
  if (result.ok) return { ...done, message: `info: qp ${result.qp}` };
  const code = result.permanent ? EXIT.hard : EXIT.soft;
  return { code, message: `unable to forward message: ${result.text}` };
}

function soft(message: string): Outcome {
  return { code: EXIT.soft, message };
}

if (import.meta.main) {
  const outcome = await dotForward(process.argv.slice(2), programContext(), stdinMessage);
  if (!outcome.message.startsWith("info: ")) exitWith("dot-forward", outcome);
  writeSync(2, `dot-forward: ${toText(outcome.message)}\n`);
  process.exit(outcome.code);
}
