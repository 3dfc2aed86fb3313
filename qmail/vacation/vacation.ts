/**
 * vacation: in a .qmail file, answers who writes to a user that is away.
 *
 *   vacation [-j] [-a ALIAS]... [-f DIRECTORY] [-m FILE] [-r DAYS] [-s SENDER] [-t TIME] [USER]
 *   vacation -i [-f DIRECTORY]
 *
 * The options are those of the vacation programs of BSD and Debian. The envelope sender is $SENDER, and
 * the user's address $RECIPIENT. Whatever goes wrong is said and counts as done: an answer that could not be made
 * is no reason to send the message back, or to deliver it once more.
 */

import { readFileSync, writeSync } from "node:fs";
import { homedir } from "node:os";
import { resolve } from "node:path";
import { programArgs } from "../arguments.ts";
import { ConstMap } from "../control/constmap.ts";
import { Control } from "../control/control.ts";
import { EXIT } from "../exit.ts";
import { getopt } from "../getopt.ts";
import { type Context, exitWith, type Outcome, programContext, toText } from "../inject/context.ts";
import { HeaderBody } from "../inject/headerbody.ts";
import { inject } from "../inject/qmail-inject.ts";
import { Answered } from "./answered.ts";
import { whyNot } from "./decide.ts";
import { reply } from "./reply.ts";
import { writtenAddress } from "./written-address.ts";

const USAGE =
  "usage: vacation [ -ij ] [ -a alias ] [ -f directory ] [ -m file ] [ -r days ] [ -s sender ] [ -t time ] [ user ]";

const DAY = 24 * 60 * 60 * 1000;
const UNITS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60 * 1000,
  h: 60 * 60 * 1000,
  d: DAY,
  w: 7 * DAY,
};

export interface Settings {
  readonly initialise: boolean;
  readonly toAnybody: boolean;
  readonly aliases: readonly string[];
  /** Below the home. */
  readonly directory: string;
  readonly message: string;
  /** Milliseconds between two answers to one address. */
  readonly interval: number;
  readonly sender: string | null;
  readonly user: string | null;
}

/** The settings that `args` are; a string says what is wrong. */
export function settingsIn(args: readonly string[]): Settings | string {
  const parsed = getopt(args, "iIjza:f:m:r:s:t:");
  if (typeof parsed === "string") return `${parsed}; ${USAGE}`;
  if (parsed.rest.length > 1) return USAGE;
  const last = (letters: string) => parsed.options.findLast(([letter]) => letters.includes(letter));
  const [letter, time] = last("rt") ?? ["r", "7"];
  const interval = letter === "r" ? daysIn(time) : timeIn(time);
  if (interval === null) return `"${time}" is no time between two answers; ${USAGE}`;
  return {
    initialise: last("iI") !== undefined,
    toAnybody: last("j") !== undefined,
    aliases: parsed.options.filter(([each]) => each === "a").map(([, alias]) => alias),
    directory: last("f")?.[1] ?? ".vacation.answered",
    message: last("m")?.[1] ?? ".vacation.msg",
    interval,
    sender: last("s")?.[1] ?? null,
    user: parsed.rest[0] ?? null,
  };
}

function daysIn(text: string): number | null {
  if (/^inf/.test(text)) return Number.POSITIVE_INFINITY;
  return /^\d{1,5}$/.test(text) ? Number(text) * DAY : timeIn(text);
}

function timeIn(text: string): number | null {
  const [, count, unit] = /^(\d{1,9})([smhdw])$/.exec(text) ?? [];
  return count === undefined ? null : Number(count) * (UNITS[unit ?? ""] ?? 0);
}

/** Runs vacation. The message of its outcome says what was done, or why nothing was. */
export async function vacation(args: readonly string[], context: Context): Promise<Outcome> {
  const settings = settingsIn(args);
  if (typeof settings === "string") return { code: EXIT.soft, message: settings };
  const home = context.env.HOME === undefined ? homedir() : toText(context.env.HOME);
  const answered = new Answered(resolve(home, settings.directory));
  if (settings.initialise) {
    answered.clear();
    return done("forgot who was answered");
  }
  const fields = await header(context.input);
  const sender = settings.sender ?? context.env.SENDER ?? returnPath(fields);
  if (sender === null) return done("not answered: the envelope sender is not known");
  const mine = addressesOf(settings, context);
  const why = whyNot({ sender, fields, mine, toAnybody: settings.toAnybody });
  if (why !== null) return done(`not answered: ${why}`);
  const [from = ""] = mine;
  const template = textOf(resolve(home, settings.message));
  const now = context.now * 1000;
  if (!answered.note(sender, now, settings.interval)) {
    return done("not answered: its sender has had an answer, or too many have");
  }
  const message = Buffer.from(reply(template, { sender, from, fields }), "latin1");
  const sent = await send(message, sender, context);
  if (sent.code === EXIT.ok) return done("answered");
  answered.takeBack(sender);
  return done(`not answered: ${sent.message}`);
}

function done(message: string): Outcome {
  return { code: EXIT.ok, message };
}

/** The header of the message; the rest of it is not waited for. */
async function header(input: AsyncIterable<Buffer>): Promise<string[]> {
  const fields: string[] = [];
  const parts = new HeaderBody((field) => fields.push(field));
  for await (const chunk of input) {
    parts.push(chunk);
    if (parts.inBody) return fields;
  }
  parts.end();
  return fields;
}

/** Behind preline the message itself tells. */
function returnPath(fields: readonly string[]): string | null {
  for (const field of fields) {
    const sender = /^Return-Path:\s*<([^>\n]*)>/i.exec(field)?.[1];
    if (sender !== undefined) return sender;
  }
  return null;
}

/** The text of the message file, which may come from an editor that ends lines otherwise and begins with a BOM. */
function textOf(file: string): string {
  return readFileSync(file, "latin1")
    .replace(/^\xef\xbb\xbf/, "")
    .replaceAll("\r\n", "\n");
}

/** The addresses that are the user, first the one that the message was sent to. */
function addressesOf({ aliases, user }: Settings, { env, home }: Context): string[] {
  const name = user ?? env.USER;
  const recipient =
    env.RECIPIENT === undefined ? undefined : writtenAddress(env.RECIPIENT, virtualdomains(home));
  return [recipient, name, ...aliases].filter((each) => each !== undefined);
}

/** What cannot be read by the user changes no address. */
function virtualdomains(home: string): ConstMap {
  try {
    return new ConstMap(new Control(home).lines("virtualdomains") ?? []);
  } catch {
    return new ConstMap([]);
  }
}

/** With the empty envelope sender, so that nothing comes back (RFC 3834 section 3.3). */
function send(message: Buffer, recipient: string, context: Context): Promise<Outcome> {
  const { QMAILINJECT: _, ...env } = context.env;
  const input = (async function* () {
    yield message;
  })();
  return inject(["-a", "-f", "", "--", recipient], { ...context, env, input });
}

if (import.meta.main) {
  try {
    const outcome = await vacation(programArgs(), programContext());
    if (outcome.code !== EXIT.ok) exitWith("vacation", outcome);
    writeSync(2, `vacation: ${toText(outcome.message)}\n`);
  } catch (error) {
    writeSync(2, `vacation: not answered: ${(error as Error).message}\n`);
  }
  process.exit(EXIT.ok);
}
