/**
 * qmail-local: `qmail-local [-nN] user homedir local dash ext domain sender defaultdelivery`, message
 * on descriptor 0 (qmail-local(8)); as `qmail-local --worker HOME` the worker that qmail-lspawn keeps for
 * each uid; and as `qmail-local --outlook` what a delivery with the arguments that follow would do, in JSON.
 */

import { EXIT } from "../exit.ts";
import { GroupSync } from "../files/groupsync.ts";
import { qmailHome } from "../home.ts";
import { localQueue } from "../queue/local-queue.ts";
import type { Report } from "../spawn/report.ts";
import { stdinMessage } from "../spawn/stdin-message.ts";
import { serveWork } from "../spawn/worker.ts";
import type { Instruction } from "./dotqmail.ts";
import type { LocalRequest } from "./environment.ts";
import {
  checkHome,
  deliverLocal,
  failureReport,
  findInstructions,
  type LocalContext,
} from "./local.ts";
import { outlook } from "./outlook.ts";

const USAGE =
  "qmail-local: usage: qmail-local [ -nN ] user homedir local dash ext domain sender aliasempty";

/** The strings of a request in the order of qmail-local's arguments. */
export function parseRequest(fields: readonly string[]): LocalRequest | null {
  const [user, home, local, dash, ext, host, sender, aliasempty, ...more] = fields;
  if (aliasempty === undefined || more.length > 0 || !home?.startsWith("/")) return null;
  return {
    user: user as string,
    home,
    local: local as string,
    dash: dash as string,
    ext: ext as string,
    host: host as string,
    sender: sender as string,
    aliasempty,
  };
}

function context(home: string): LocalContext {
  return {
    queue: localQueue(home),
    sync: new GroupSync(),
    env: process.env,
    now: () => Math.floor(Date.now() / 1000),
  };
}

function work(home: string): void {
  const shared = context(home);
  serveWork(() => async (fields, message) => {
    const request = parseRequest(fields);
    if (!request) return { status: "Z", text: "Internal qmail-lspawn bug.\n" };
    return deliverLocal(request, message, shared);
  });
}

/** What `-n` prints for an instruction. */
function describe(instruction: Instruction): string {
  switch (instruction.type) {
    case "maildir":
    case "mbox":
      return `${instruction.type} ${instruction.path}`;
    case "program":
      return `program ${instruction.command}`;
    case "forward":
      return `forward ${instruction.address}`;
    case "list":
      return "";
  }
}

function printInstructions(request: LocalRequest): Report {
  checkHome(request.home);
  const instructions = findInstructions(request).lines.map(({ instruction }) => instruction);
  const count = (...types: string[]) =>
    instructions.filter(({ type }) => types.includes(type)).length;
  const lines = instructions.map(describe).filter((line) => line !== "");
  const did = `did ${count("maildir", "mbox")}+${count("forward")}+${count("program")}`;
  return { status: "K", text: `${[...lines, did].join("\n")}\n` };
}

/** For `qmailctl explain`, which asks as the user whose mail it is. */
function printOutlook(args: readonly string[]): number {
  const request = parseRequest(
    args.map((field) => Buffer.from(field, "base64").toString("latin1")),
  );
  if (!request) return EXIT.hard;
  process.stdout.write(JSON.stringify(outlook(request)));
  return EXIT.ok;
}

async function main(args: string[]): Promise<number> {
  let doit = true;
  let fields = args;
  for (; /^-[nN]+$/.test(fields[0] ?? ""); fields = fields.slice(1)) {
    doit = !(fields[0] as string).endsWith("n");
  }
  if (fields[0] === "--") fields = fields.slice(1);
  const request = parseRequest(fields.map((field) => Buffer.from(field).toString("latin1")));
  if (!request) {
    process.stderr.write(`${USAGE}\n`);
    return EXIT.hard;
  }
  const report = doit
    ? await deliverLocal(request, stdinMessage(), context(qmailHome()))
    : attempt(() => printInstructions(request));
  process.stdout.write(Buffer.from(report.text, "latin1"));
  return { K: EXIT.ok, Z: EXIT.soft, D: EXIT.hard }[report.status];
}

function attempt(action: () => Report): Report {
  try {
    return action();
  } catch (error) {
    return failureReport(error);
  }
}

if (import.meta.main) {
  process.title = "qmail-local";
  process.umask(0o077);
  const args = process.argv.slice(2);
  if (args[0] === "--worker") work(args[1] as string);
  else if (args[0] === "--outlook") process.exitCode = printOutlook(args.slice(1));
  else process.exitCode = await main(args);
}
