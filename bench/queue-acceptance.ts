/**
 * Queue acceptance beside Postfix: messages answered with 250 a second from 20 SMTP sessions, every
 * one synced by both and delivered to nobody. In turn in one run; then the syncs of our queue server counted.
 *
 *   node bench/queue-acceptance.ts [--rounds 5] [--messages 3000] [--dir DIRECTORY]
 *
 * Needs root (Postfix does) and Debian's packages postfix and strace. All traffic stays on 127.0.0.1.
 */

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { compare, describeMachine, freePort, smtpSource } from "./_bench.ts";
import { type MailServer, makePostfix, postfixVersion } from "./_postfix.ts";
import { pidOf } from "./_processes.ts";
import { makeQmailctl } from "./_qmailctl.ts";

const SESSIONS = 20;
const SIZE = 4096;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    messages: { type: "string", default: "3000" },
    dir: { type: "string", default: tmpdir() },
  },
});
const rounds = Number(values.rounds);
const messages = Number(values.messages);

/** Milliseconds until the last 250. */
function accept({ port, recipient }: MailServer): Promise<number> {
  const options = { s: SESSIONS, l: SIZE, m: messages, f: "sender@example.test", t: recipient };
  return smtpSource(port, options);
}

async function round(server: MailServer): Promise<number> {
  return (messages / (await accept(server))) * 1000;
}

/** Syncs of files and of directories by the queue server while `messages` are accepted. */
async function countSyncs(server: MailServer, directory: string): Promise<string> {
  const trace = join(directory, "trace");
  const pid = pidOf(join(directory, "qmailctl/qmail"), "qmail-queue");
  const args = ["-f", "-y", "-e", "trace=fsync,fdatasync,sync,syncfs,sync_file_range"];
  const strace = spawn("strace", [...args, "-o", trace, "-p", String(pid)], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  // Its word that it is attached.
  await once(strace.stderr, "data");
  await accept(server);
  strace.kill("SIGINT");
  await once(strace, "exit");
  const lines = readFileSync(trace, "latin1").split("\n");
  const count = (pattern: RegExp) => lines.filter((line) => pattern.test(line)).length;
  const files = count(/sync\(\d+<[^>]*\/(pid|mess\/\d+|intd)\//);
  const directories = count(/fsync\(\d+<[^>]*\/todo>/);
  const each = (number: number) => (number / messages).toFixed(2);
  return `syncs a message: ${each(files)} of files, ${each(directories)} of directories\n`;
}

async function main(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error("run it as root: Postfix does not start otherwise");
  const directory = mkdtempSync(join(values.dir, "qmailctl-bench-"));
  // Postfix's users must be able to reach their files.
  execFileSync("chmod", ["755", directory]);
  for (const name of ["postfix", "qmailctl"]) mkdirSync(join(directory, name));
  const servers: MailServer[] = [];
  try {
    // Delivered to nobody: what is measured ends with the 250.
    const ours = makeQmailctl(join(directory, "qmailctl"), await freePort(), {
      concurrency: 20,
      delivery: "# to nobody",
    });
    const theirs = makePostfix(join(directory, "postfix"), await freePort(), 20, {
      virtual_transport: "discard:",
    });
    process.stdout.write(describeMachine(directory));
    process.stdout.write(
      `Postfix ${postfixVersion()}; ${messages} messages of ${SIZE} bytes, ${SESSIONS} sessions, delivered to nobody\n`,
    );
    for (const server of [ours, theirs]) {
      servers.push(server);
      server.start();
    }
    await compare(rounds, "messages accepted a second", async () => [
      await round(ours),
      await round(theirs),
    ]);
    process.stdout.write(await countSyncs(ours, directory));
  } finally {
    for (const server of servers) server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

main().catch((error: Error) => {
  process.stderr.write(`queue-acceptance: ${error.message}\n`);
  process.exitCode = 111;
});
