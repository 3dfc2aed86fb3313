/**
 * A queue of a million messages: how soon mail flows after the start, how soon all is read, what it
 * costs in memory, how fast the queue is listed.
 *
 *   node bench/million.ts [--messages 1000000] [--dir DIRECTORY]
 *
 * Each message is three files of one block: a million need 13 GB and 3 million inodes. Nothing in the queue is due.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { programPath } from "../qmail/programs.ts";
import { fmtqfn } from "../qmail/queue/fmtqfn.ts";
import { describeMachine, fileCount, freePort } from "./_bench.ts";
import { cpuTime, memory, pidOf } from "./_processes.ts";
import { launch, makeQmailctl } from "./_qmailctl.ts";

const BODY = `Received: (qmail 1 invoked from network); 1 Jan 2026 00:00:00 -0000\n${"x".repeat(900)}\n`;
/** The first try lies in the future, as far as this. */
const RETRY_SECONDS = 3600;
const MAKERS = 2;

interface Making {
  readonly queue: string;
  readonly from: number;
  readonly to: number;
}

/** Makes messages as qmail-queue and qmail-send would have, deferred on the remote channel. */
function make({ queue, from, to }: Making): void {
  const now = Math.floor(Date.now() / 1000);
  for (let at = from; at < to; at++) {
    const temporary = `${queue}/pid/${at}`;
    const fd = openSync(temporary, "wx", 0o644);
    const id = String(fstatSync(fd, { bigint: true }).ino);
    writeSync(fd, BODY);
    closeSync(fd);
    renameSync(temporary, `${queue}/${fmtqfn("mess", id)}`);
    write(`${queue}/${fmtqfn("info", id)}`, `Fsender${at}@example.test\0`);
    const remote = `${queue}/${fmtqfn("remote", id)}`;
    write(remote, `Trecipient${at}@example.test\0`);
    utimesSync(remote, now, now + RETRY_SECONDS + (at % RETRY_SECONDS));
  }
}

function write(path: string, text: string): void {
  const fd = openSync(path, "wx", 0o600);
  writeSync(fd, text);
  closeSync(fd);
}

async function makeAll(queue: string, messages: number): Promise<void> {
  const each = Math.ceil(messages / MAKERS);
  const makers = Array.from({ length: MAKERS }, (_, at) => {
    const making: Making = { queue, from: at * each, to: Math.min(messages, (at + 1) * each) };
    return once(new Worker(new URL(import.meta.url), { workerData: making }), "exit");
  });
  await Promise.all(makers);
}

/** Resolves when the process has done nothing for a second; with the time when it became so. */
async function idle(pid: number): Promise<number> {
  let last = cpuTime(pid);
  let since = performance.now();
  while (performance.now() - since < 1000) {
    await sleep(100);
    const used = cpuTime(pid);
    if (used - last < 0.02) continue;
    last = used;
    since = performance.now();
  }
  return since;
}

/** Sends one message and resolves when it lies in `maildir`. */
async function deliver(port: number, recipient: string, maildir: string): Promise<void> {
  const before = fileCount(maildir);
  const socket = connect(port, "127.0.0.1");
  socket.write(
    `HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<${recipient}>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n`,
  );
  socket.resume();
  await once(socket, "close");
  while (fileCount(maildir) === before) await sleep(10);
}

/** Runs a program of ours to its end; its time in seconds and its memory in MB at the most. */
async function timed(args: readonly string[], home: string): Promise<string> {
  const started = performance.now();
  const child = spawn(process.execPath, args, {
    env: { ...process.env, QMAILHOME: home },
    stdio: ["ignore", "ignore", "inherit"],
  });
  let most = 0;
  const timer = setInterval(() => {
    most = Math.max(most, memory(child.pid as number, "VmHWM"));
  }, 50);
  const [code] = (await once(child, "exit")) as [number | null];
  clearInterval(timer);
  const seconds = (performance.now() - started) / 1000;
  return `${seconds.toFixed(1)} s, ${most.toFixed(0)} MB${code === 0 ? "" : `, exit code ${code}`}`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      messages: { type: "string", default: "1000000" },
      dir: { type: "string", default: tmpdir() },
    },
  });
  const messages = Number(values.messages);
  const directory = mkdtempSync(join(values.dir, "qmailctl-million-"));
  const say = (label: string, text: string) => process.stdout.write(`${label.padEnd(44)}${text}\n`);
  const seconds = (from: number, to = performance.now()) => `${((to - from) / 1000).toFixed(1)} s`;
  const server = makeQmailctl(directory, await freePort(), { concurrency: 20 });
  const home = join(directory, "qmail");
  try {
    process.stdout.write(describeMachine(directory));
    server.start();
    await deliver(server.port, server.recipient, server.maildir);
    await idle(pidOf(home, "qmail-send"));
    const empty = memory(pidOf(home, "qmail-send"), "VmRSS");
    say("qmail-send with an empty queue", `${empty.toFixed(0)} MB`);
    server.stop();

    let began = performance.now();
    await makeAll(`${home}/queue`, messages);
    say(`making ${messages} messages`, seconds(began));

    began = performance.now();
    server.start();
    say("qmailctl start", seconds(began));
    await deliver(server.port, server.recipient, server.maildir);
    say("first new message in its Maildir", `${seconds(began)} after the command`);
    const pid = pidOf(home, "qmail-send");
    say("whole queue read", `${seconds(began, await idle(pid))} after the command`);
    const full = memory(pid, "VmRSS");
    const bytes = ((full - empty) * 1024 * 1024) / messages;
    say("qmail-send with the queue", `${full.toFixed(0)} MB, ${bytes.toFixed(0)} bytes a message`);
    say("  at the most", `${memory(pid, "VmHWM").toFixed(0)} MB`);
    began = performance.now();
    await deliver(server.port, server.recipient, server.maildir);
    say("one message more, in its Maildir after", seconds(began));
    const list = launch(directory, "queue", "list");
    say("qmailctl queue list", await timed(list, home));
    say("qmailctl queue list --json", await timed([...list, "--json"], home));
    say("qmail-qread", await timed([programPath("queue/qmail-qread")], home));
    say("qmail-qstat", await timed([programPath("queue/qmail-qstat")], home));
    began = performance.now();
    server.stop();
    say("qmailctl stop", seconds(began));
  } finally {
    server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

if (isMainThread) {
  main().catch((error: Error) => {
    process.stderr.write(`million: ${error.message}\n`);
    process.exitCode = 111;
  });
} else {
  make(workerData as Making);
}
