/**
 * One message to many local recipients beside Postfix: from the first connection to the last file in
 * a Maildir, the two systems in turn in one run.
 *
 *   node bench/multi-recipient.ts [--rounds 5] [--messages 100] [--recipients 200] [--dir DIRECTORY]
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

const SESSIONS = 5;
const SIZE = 4096;
const CONCURRENCY = 20;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    messages: { type: "string", default: "100" },
    recipients: { type: "string", default: "200" },
    dir: { type: "string", default: tmpdir() },
  },
});
const rounds = Number(values.rounds);
const messages = Number(values.messages);
const recipients = Number(values.recipients);

/** Deliveries a second, from the first connection to the last file. */
async function round({ maildir, recipient, port }: MailServer): Promise<number> {
  const deliveries = messages * recipients;
  const all = filled(maildir, fileCount(maildir) + deliveries);
  const started = performance.now();
  // smtp-source puts a number before each recipient: all go to the same Maildir.
  const options = { s: SESSIONS, l: SIZE, m: messages, r: recipients, f: "sender@example.test" };
  await smtpSource(port, { ...options, t: recipient });
  await all;
  return (deliveries / (performance.now() - started)) * 1000;
}

async function main(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error("run it as root: Postfix does not start otherwise");
  const directory = mkdtempSync(join(values.dir, "qmailctl-bench-"));
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
      `Postfix ${postfixVersion()}; ${messages} messages of ${SIZE} bytes to ${recipients} recipients each, ${SESSIONS} sessions\n`,
    );
    for (const server of [ours, theirs]) {
      servers.push(server);
      server.start();
    }
    await compare(rounds, "deliveries a second", async () => [
      await round(ours),
      await round(theirs),
    ]);
  } finally {
    for (const server of servers) server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

main().catch((error: Error) => {
  process.stderr.write(`multi-recipient: ${error.message}\n`);
  process.exitCode = 111;
});
