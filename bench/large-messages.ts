/**
 * 200 messages of 50 MB arriving at once: the most memory that each process of the system ever had.
 *
 *   node bench/large-messages.ts [--messages 200] [--megabytes 50] [--dir DIRECTORY]
 *
 * Needs 10 GB of disk and Postfix's smtp-source. All traffic stays on 127.0.0.1.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { describeMachine, freePort, smtpSource } from "./_bench.ts";
import { memory, processesOf } from "./_processes.ts";
import { makeQmailctl } from "./_qmailctl.ts";

const { values } = parseArgs({
  options: {
    messages: { type: "string", default: "200" },
    megabytes: { type: "string", default: "50" },
    dir: { type: "string", default: tmpdir() },
  },
});
const messages = Number(values.messages);
const size = Number(values.megabytes) * 1_000_000;

async function main(): Promise<void> {
  const directory = mkdtempSync(join(values.dir, "qmailctl-large-"));
  const home = join(directory, "qmail");
  // Nothing is delivered: the messages stay in the queue.
  const server = makeQmailctl(directory, await freePort(), {
    concurrency: 0,
    sessions: messages,
  });
  try {
    server.start();
    const before = new Map(processesOf(home).map(({ pid }) => [pid, memory(pid, "VmRSS")]));
    process.stdout.write(describeMachine(directory));
    const { port, recipient } = server;
    const options = { s: messages, m: messages, l: size, f: "", t: recipient };
    const milliseconds = await smtpSource(port, options);
    const seconds = milliseconds / 1000;
    const rate = (messages * size) / 1e6 / seconds;
    process.stdout.write(
      `${messages} messages of ${size / 1e6} MB at once: ${seconds.toFixed(0)} s, ${rate.toFixed(0)} MB/s\n`,
    );
    process.stdout.write("process          before   at most   (MB resident)\n");
    for (const { pid, title } of processesOf(home)) {
      const cells = [before.get(pid) ?? 0, memory(pid, "VmHWM")].map((cell) => cell.toFixed(0));
      process.stdout.write(
        `${title.padEnd(14)}${cells.map((cell) => cell.padStart(9)).join("")}\n`,
      );
    }
  } finally {
    server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

main().catch((error: Error) => {
  process.stderr.write(`large-messages: ${error.message}\n`);
  process.exitCode = 111;
});
