/**
 * qmail-local: `qmail-local [-nN] user homedir local dash ext domain sender defaultdelivery`, message
 * on descriptor 0 (qmail-local(8)); as `qmail-local --worker HOME` the worker that qmail-lspawn keeps for
 * each uid; and as `qmail-local --outlook` what a delivery with the arguments that follow would do, in JSON.
 */

import { writeSync } from "node:fs";
import { programArgs } from "../arguments.ts";
import { EXIT } from "../exit.ts";
import { GroupSync } from "../files/groupsync.ts";
import { getopt } from "../getopt.ts";
import { qmailHome } from "../home.ts";
import { localQueue } from "../queue/local-queue.ts";
import { stdinMessage } from "../spawn/stdin-message.ts";
import { serveWork } from "../spawn/worker.ts";
import { thisMachine } from "../supervise/machine.ts";
import { type Delivery, steps } from "./dotqmail.ts";
import type { LocalRequest } from "./environment.ts";
import { checkHome, findInstructions } from "./find.ts";
import { deliverLocal, failureReport, type LocalContext, notForwarding } from "./local.ts";
import { Maildirs } from "./maildir.ts";
import { Mboxes } from "./mbox.ts";
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
    maildirs: new Maildirs(new GroupSync()),
    mboxes: new Mboxes({ machine: thisMachine() }),
    env: programEnvironment(process.env),
    now: () => Math.floor(Date.now() / 1000),
  };
}

/** What programs find besides the variables of the delivery: not what our Node is tuned with. */
function programEnvironment({ UV_THREADPOOL_SIZE, ...env }: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return env;
}

function work(home: string): void {
  const shared = context(home);
  serveWork(() => ({
    work: async (fields, message, waits) => {
      // What qmail-lspawn has kept of the last try comes last.
      const request = parseRequest(fields.slice(0, -1));
      if (!request) return { status: "Z", text: "Internal qmail-lspawn bug.\n" };
      const progress = fields.at(-1) ?? "";
      return deliverLocal(request, message, { ...shared, progress, waits });
    },
    leave: () => shared.mboxes.leave(),
  }));
}

/** What `-n` prints for an instruction. */
function describe(instruction: Delivery): string {
  switch (instruction.type) {
    case "maildir":
    case "mbox":
      return `${instruction.type} ${instruction.path}`;
    case "program":
      return `program ${instruction.command}`;
    case "forward":
      return `forward ${instruction.address}`;
  }
}

/** What `-n` prints, in the order of the file, up to where a delivery would stop. */
function printInstructions(request: LocalRequest): void {
  checkHome(request.home, () => warn("Warning: home directory is sticky.\n"));
  const found = findInstructions(request);
  const did = { file: 0, forward: 0, program: 0 };
  for (const { instruction, kind, allowed } of steps(found.lines, found.forwardOnly)) {
    did[kind]++;
    if (!allowed) throw notForwarding(kind);
    print(`${describe(instruction)}\n`);
  }
  print(`did ${did.file}+${did.forward}+${did.program}\n`);
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

function print(text: string): void {
  writeSync(1, Buffer.from(text, "latin1"));
}

function warn(text: string): void {
  writeSync(2, Buffer.from(text, "latin1"));
}

const CODES = { K: EXIT.ok, Z: EXIT.soft, D: EXIT.hard } as const;

async function main(args: readonly string[]): Promise<number> {
  const options = getopt(args, "nN");
  const request = typeof options === "string" ? null : parseRequest(options.rest);
  if (typeof options === "string" || !request) {
    warn(`${USAGE}\n`);
    return EXIT.hard;
  }
  if (options.options.at(-1)?.[0] === "n") {
    try {
      printInstructions(request);
      return EXIT.ok;
    } catch (error) {
      const { status, text } = failureReport(error);
      warn(text);
      return CODES[status];
    }
  }
  const { status, text } = await deliverLocal(request, stdinMessage(), context(qmailHome()));
  (status === "K" ? print : warn)(text);
  return CODES[status];
}

if (import.meta.main) {
  const args = programArgs();
  process.title = "qmail-local";
  process.umask(0o077);
  // A path is Node's own text, not bytes.
  if (args[0] === "--worker") work(process.argv[3] as string);
  else if (args[0] === "--outlook") process.exitCode = printOutlook(args.slice(1));
  else process.exitCode = await main(args);
}
