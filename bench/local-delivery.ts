/**
 * Local delivery beside Postfix: from 20 SMTP sessions to the last file in a Maildir, every message
 * synced by both, the two systems in turn in one run.
 *
 *   node bench/local-delivery.ts [--rounds 5] [--messages 3000] [--dir DIRECTORY]
 *
 * Needs root (Postfix does) and Debian's package postfix. All traffic stays on 127.0.0.1.
 */

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { compare, describeMachine, fileCount, filled, freePort, smtpSource } from "./_bench.ts";
import { type MailServer, makePostfix, postfixVersion } from "./_postfix.ts";
import { makeQmailctl } from "./_qmailctl.ts";

const SESSIONS = 20;
const SIZE = 4096;
const CONCURRENCY = 20;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    messages: { type: "string", default: "3000" },
    dir: { type: "string", default: tmpdir() },
  },
});
const messages = Number(values.messages);

/** Messages a second, from the first connection to the last file. */
async function round({ maildir, recipient, port }: MailServer): Promise<number> {
  const all = filled(maildir, fileCount(maildir) + messages);
  const started = performance.now();
  await smtpSource(port, {
    s: SESSIONS,
    l: SIZE,
    m: messages,
    f: "sender@example.test",
    t: recipient,
  });
  await all;
  return (messages / (performance.now() - started)) * 1000;
}

async function main(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error("run it as root: Postfix does not start otherwise");
  const directory = mkdtempSync(join(values.dir, "qmailctl-bench-"));
  // Postfix's users must be able to reach their files.
  execFileSync("chmod", ["755", directory]);
  for (const name of ["postfix", "qmailctl"]) mkdirSync(join(directory, name));
  const servers: MailServer[] = [];
  try {
    const ours = makeQmailctl(join(directory, "qmailctl"), await freePort(), {
      concurrency: CONCURRENCY,
    });
    const theirs = makePostfix(join(directory, "postfix"), await freePort(), CONCURRENCY);
    process.stdout.write(describeMachine(directory));
    process.stdout.write(
      `Postfix ${postfixVersion()}; ${messages} messages of ${SIZE} bytes, ${SESSIONS} sessions, ${CONCURRENCY} deliveries at once\n`,
    );
    for (const server of [ours, theirs]) {
      servers.push(server);
      server.start();
    }
    // Nothing is deleted between rounds: deletions would slow whoever comes next.
    await compare(Number(values.rounds), "messages a second", async () => [
      await round(ours),
      await round(theirs),
    ]);
  } finally {
    for (const server of servers) server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

main().catch((error: Error) => {
  process.stderr.write(`local-delivery: ${error.message}\n`);
  process.exitCode = 111;
});
