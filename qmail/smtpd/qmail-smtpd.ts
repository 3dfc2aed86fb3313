/**
 * qmail-smtpd: without arguments one session on descriptors 0 and 1, under tcpserver or inetd
 * (qmail-smtpd(8)); with `--listen HOST:PORT ...` the service that has all connections in one process.
 */

import { writeSync } from "node:fs";
import { parseArgs } from "node:util";
import { EXIT } from "../exit.ts";
import { qmailHome } from "../home.ts";
import { readIds } from "../ids.ts";
import { localQueue } from "../queue/local-queue.ts";
import { networkQueue } from "../queue/network-queue.ts";
import { programQueue } from "../queue/program-queue.ts";
import { sayReady } from "../supervise/ready.ts";
import { readSmtpdControls } from "./controls.ts";
import * as replies from "./replies.ts";
import { parseListen, parseRelayFrom, type ServerOptions, SmtpServer } from "./server.ts";
import { Session } from "./session.ts";

const USAGE =
  "usage: qmail-smtpd [--listen HOST:PORT ... [--concurrency N] [--relay-from ADDRESS[/BITS],...]]";
const CONCURRENCY = 1000;

class UsageError extends Error {}

function parseOptions(args: string[]): ServerOptions {
  const { values } = parseArgs({
    args,
    options: {
      listen: { type: "string", multiple: true, default: [] },
      concurrency: { type: "string", default: String(CONCURRENCY) },
      "relay-from": { type: "string", default: "" },
    },
  });
  const listen = values.listen.map((text) => {
    const address = parseListen(text);
    if (!address) throw new UsageError(`"${text}" is no address and port`);
    return address;
  });
  const concurrency = Number(values.concurrency);
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new UsageError(`"${values.concurrency}" is no number of connections`);
  }
  const relayFrom = parseRelayFrom(values["relay-from"]);
  if (!relayFrom) throw new UsageError(`"${values["relay-from"]}" is no list of addresses`);
  return { listen, concurrency, relayFrom, env: process.env, home: ".", log: writeLog };
}

function writeLog(lines: string): void {
  const bytes = Buffer.from(lines, "latin1");
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}

function fail(message: string, code: number): never {
  process.stderr.write(`qmail-smtpd: fatal: ${message}\n`);
  process.exit(code);
}

async function serve(options: ServerOptions): Promise<void> {
  const server = new SmtpServer(options);
  try {
    await server.bind();
  } catch (error) {
    fail(
      bindTrouble(error as NodeJS.ErrnoException & { address?: string; port?: number }),
      EXIT.soft,
    );
  }
  dropPrivilege();
  const program = process.env.QMAILQUEUE;
  const queue = networkQueue(".");
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => void server.end().then(() => process.exit(EXIT.ok)));
  }
  if (!program) await queue.connect();
  try {
    server.serve(program ? programQueue(program) : queue);
  } catch (error) {
    fail((error as Error).message, EXIT.soft);
  }
  process.on("SIGHUP", () => {
    try {
      server.reread();
    } catch (error) {
      process.stderr.write(`warning: qmail-smtpd: ${(error as Error).message}\n`);
    }
  });
  sayReady();
}

function bindTrouble({
  code,
  address,
  port,
  message,
}: NodeJS.ErrnoException & { address?: string; port?: number }): string {
  const where = `${address ?? ""}:${port ?? ""}`;
  if (code === "EADDRINUSE") {
    return `cannot listen on ${where}: another program does; stop it, or choose another port`;
  }
  if (code === "EACCES") return `cannot listen on ${where}: only root may, below port 1024`;
  if (code === "EADDRNOTAVAIL")
    return `cannot listen on ${where}: this machine has no such address`;
  return `cannot listen: ${message}`;
}

/** Before the first byte from the network is read. */
function dropPrivilege(): void {
  const ids = readIds(".");
  if (ids.sandbox || process.getuid?.() !== 0) return;
  process.setgroups?.([]);
  process.setgid?.(ids.gid.nofiles);
  process.setuid?.(ids.uid.qmaild);
}

/** The classic door: descriptors 0 and 1 are the client, the environment says who that is. */
function oneSession(): void {
  const { env } = process;
  const home = qmailHome();
  const controls = readSmtpdControls(home);
  const session = new Session({
    number: process.pid,
    peer: {
      ip: env.TCPREMOTEIP ?? "unknown",
      host: env.TCPREMOTEHOST ?? "unknown",
      info: env.TCPREMOTEINFO ?? null,
    },
    queue: localQueue(home, env),
    controls: env.TCPLOCALHOST ? { ...controls, me: env.TCPLOCALHOST } : controls,
    databytes: Number(env.DATABYTES ?? controls.databytes),
    relayclient: env.RELAYCLIENT ?? null,
    isOwnAddress: (ip) => ip === env.TCPLOCALIP,
    now: () => Math.floor(Date.now() / 1000),
    // What qmail-smtpd says of a session is its replies; a log line would be in the client's way.
    log: () => {},
    write: (reply) => void process.stdout.write(reply, "latin1"),
    end: () => {
      clearTimeout(timer);
      process.stdin.destroy();
      process.stdout.end();
    },
    flow: (open) => void (open ? process.stdin.resume() : process.stdin.pause()),
  });
  const timer = setTimeout(
    () => session.dismiss(replies.timeout(), "timeout"),
    controls.timeout * 1000,
  );
  process.stdin.on("data", (chunk: Buffer) => {
    timer.refresh();
    session.receive(chunk);
  });
  process.stdin.on("end", () => session.inputEnd());
  process.stdin.on("close", () => clearTimeout(timer));
  process.stdout.on("error", () => process.stdin.destroy());
  session.greet();
}

if (import.meta.main) {
  process.title = "qmail-smtpd";
  process.umask(0o077);
  const args = process.argv.slice(2);
  try {
    if (args.length === 0) oneSession();
    else {
      const options = parseOptions(args);
      if (options.listen.length === 0) throw new UsageError("--listen is missing");
      process.chdir(qmailHome());
      await serve(options);
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (error instanceof UsageError || code.startsWith("ERR_PARSE_ARGS")) {
      fail(`${(error as Error).message}\n${USAGE}`, EXIT.hard);
    }
    fail((error as Error).message, EXIT.soft);
  }
}
