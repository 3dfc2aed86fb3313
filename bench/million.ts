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
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { programPath } from "../qmail/programs.ts";
import { describeMachine, fileCount, freePort } from "./_bench.ts";
import { cpuTime, memory, pidOf } from "./_processes.ts";
import { launch, makeQmailctl } from "./_qmailctl.ts";
import { fillQueue } from "./_queue.ts";

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
    await fillQueue(`${home}/queue`, messages);
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

main().catch((error: Error) => {
  process.stderr.write(`million: ${error.message}\n`);
  process.exitCode = 111;
});
