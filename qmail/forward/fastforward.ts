/** fastforward(1): in a .qmail file, forwards the message as a table in a cdb says. */

import { closeSync, fstatSync, openSync, readFileSync, writeSync } from "node:fs";
import type { ByteEnv } from "../arguments.ts";
import { type CdbBytes, CdbFile, cdbGet } from "../cdb/cdb.ts";
import { EXIT } from "../exit.ts";
import { fsPath } from "../files/bytes.ts";
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
import { systemText } from "../local/failure.ts";
import type { Message } from "../spawn/message.ts";
import { stdinMessage } from "../spawn/stdin-message.ts";
import { expand, type Plan, type Tables } from "./expand.ts";
import { runShell } from "./shell.ts";
import { commandsIn } from "./table.ts";

const USAGE = refused("usage: fastforward [ -nNpPdD ] data.cdb");
const UNKNOWN = refused("Sorry, no mailbox here by that name. (#5.1.1)");
/** Nothing more in the .qmail file is to be done. */
const DONE = 99;

/** What cannot be read now. */
class Unreadable extends Error {}

interface Options {
  readonly doit: boolean;
  readonly passThrough: boolean;
  readonly byDefault: boolean;
}

/** Runs fastforward. */
export async function fastforward(
  args: readonly string[],
  context: Pick<Context, "env" | "queue" | "print">,
  message: () => Message,
): Promise<Outcome> {
  const parsed = getopt(args, "nNpPdD");
  if (typeof parsed === "string") return USAGE;
  const [file] = parsed.rest;
  if (file === undefined) return USAGE;
  const options = optionsOf(parsed.options.map(([letter]) => letter));
  const recipient = recipientOf(context.env, options);
  if (typeof recipient !== "string") return recipient;
  try {
    const plan = expand(recipient, context.env.SENDER ?? null, openTables(file));
    if (!plan) return options.passThrough ? { code: EXIT.ok, message: "" } : UNKNOWN;
    if (!options.doit) return await describe(plan, { ...context, options });
    return await follow(plan, { ...context, message: message(), options });
  } catch (error) {
    if (error instanceof Unreadable) return { code: EXIT.soft, message: error.message };
    throw error;
  }
}

function optionsOf(letters: readonly string[]): Options {
  const last = (yes: string, no: string) =>
    letters.findLast((letter) => letter === yes || letter === no) === yes;
  return { doit: !last("n", "N"), passThrough: last("p", "P"), byDefault: last("d", "D") };
}

function recipientOf(env: ByteEnv, { byDefault }: Options): string | Outcome {
  if (!byDefault) return env.RECIPIENT ?? refused("$RECIPIENT must be set");
  const local = env.DEFAULT ?? env.EXT;
  if (local === undefined) return refused("$DEFAULT or $EXT must be set");
  if (env.HOST === undefined) return refused("$HOST must be set");
  return `${local}@${env.HOST}`;
}

function openTables(file: string): Tables {
  const cdb = reading(file, () => new CdbFile(file).read() ?? missing());
  return {
    get: (key) => reading(file, () => lookUp(cdb, key)),
    list: (name) => reading(name, () => commandsIn(readList(name))),
  };
}

function missing(): never {
  throw Object.assign(new Error("no such file"), { code: "ENOENT" });
}

function lookUp(cdb: CdbBytes, key: string): string | null {
  return cdbGet(cdb, Buffer.from(key, "latin1"))?.toString("latin1") ?? null;
}

function readList(name: string): string {
  const fd = openSync(fsPath(name), "r");
  try {
    // Else a table could have us read what its writer may not.
    if ((fstatSync(fd).mode & 0o004) === 0) throw new Unreadable(`${name} is not world-readable`);
    return readFileSync(fd, "latin1");
  } finally {
    closeSync(fd);
  }
}

function reading<T>(name: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof Unreadable) throw error;
    throw new Unreadable(`unable to read ${name}: ${systemText(error)}`);
  }
}

async function describe(
  { programs, recipients, owner }: Plan,
  { env, print, options }: Pick<Context, "env" | "print"> & { options: Options },
): Promise<Outcome> {
  const sender = owner ?? env.SENDER ?? "original envelope sender";
  const mail =
    recipients.length === 0
      ? ["no forwarding\n"]
      : [`from <${sender}>\n`, ...recipients.map((address) => `to <${address}>\n`)];
  const lines = [...programs.map((command) => `run ${command}\n`), ...mail];
  await print(Buffer.from(lines.join(""), "latin1"));
  return succeeded(options);
}

function succeeded({ passThrough }: Options): Outcome {
  return { code: passThrough ? DONE : EXIT.ok, message: "" };
}

async function follow(
  plan: Plan,
  {
    env,
    queue,
    message,
    options,
  }: Pick<Context, "env" | "queue"> & { message: Message; options: Options },
): Promise<Outcome> {
  const lines = (env.UFLINE ?? "") + (env.RPLINE ?? "") + (env.DTLINE ?? "");
  for (const command of plan.programs) {
    const before = command.startsWith("!") ? lines : "";
    const failed = await runShell(command.slice(1), { message, before });
    if (failed) return failed;
  }
  const done = succeeded(options);
  if (plan.recipients.length === 0) return done;
  const sender = plan.owner ?? env.SENDER;
  if (sender === undefined) return refused("$SENDER must be set");
  const qmail = (await queue()).open();
  try {
    await copyToQueue(qmail, Buffer.from(env.DTLINE ?? "", "latin1"), message.chunks());
  } catch (error) {
    qmail.abort();
    return { code: EXIT.soft, message: `unable to read message: ${systemText(error)}` };
  }
  const result = await qmail.close(sender, plan.recipients);
  if (result.ok) return { ...done, message: `qp ${result.qp}` };
  return { code: result.permanent ? EXIT.hard : EXIT.soft, message: result.text };
}

if (import.meta.main) {
  const outcome = await fastforward(process.argv.slice(2), programContext(), stdinMessage);
  const plain = outcome === UNKNOWN || outcome.message.startsWith("qp ");
  if (!plain) exitWith("fastforward", outcome);
  const start = outcome === UNKNOWN ? "" : "fastforward: ";
  writeSync(2, `${start}${toText(outcome.message)}\n`);
  process.exit(outcome.code);
}
