/** The POP3 service: who gets no place, who guesses too often, how it ends. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { parseOptions } from "../../../qmail/smtpd/options.ts";
import { SmtpServer } from "../../../qmail/smtpd/server.ts";
import { openStore } from "../../../qmail/smtpd/store.ts";
import { FakeQueue } from "../smtpd/_world.ts";
import { Client } from "./_dialog.ts";
import { MailServer } from "./_mailserver.ts";

const call = (port: number) => new Client(connect(port, "127.0.0.1"));

/** The last reply to `lines`, of which each is answered in one. */
async function ask(port: number, lines: readonly string[]): Promise<string | null> {
  const client = call(port);
  let reply = await client.line();
  for (const line of lines) {
    client.send(`${line}\r\n`);
    reply = await client.line();
  }
  client.destroy();
  return reply;
}

test("who finds no place hears so", { timeout: 60_000 }, async () => {
  await using server = await MailServer.create();
  const port = await server.service("--without-tls", "--concurrency", "1");
  for (;;) {
    // The connection that looked whether it answers may not be gone yet.
    const first = call(port);
    if (!(await first.line())?.startsWith("+OK")) continue;
    const second = call(port);
    assert.equal(await second.line(), "-ERR [SYS/TEMP] too many connections, try again later");
    assert.equal(await second.line(), null);
    first.destroy();
    break;
  }
});

test("SIGTERM ends sessions with a word", { timeout: 60_000 }, async () => {
  await using server = await MailServer.create();
  const client = call(await server.service("--without-tls"));
  assert.equal(await client.line(), "+OK ");
  server.kill("SIGTERM");
  assert.equal(await client.line(), "-ERR [SYS/TEMP] going down, try again later");
  assert.equal(await client.line(), null);
});

/** An SMTP service of the same installation, in this process: its port. */
async function smtpService(home: string): Promise<{ port: number; end(): Promise<void> }> {
  const options = parseOptions(["--listen", "127.0.0.1:0", "--logins", "--auth-without-tls"]);
  const server = new SmtpServer({ ...options, home, env: {}, log() {} });
  await server.bind();
  const { command = null, cram = false, scram = false } = options.auth ?? {};
  const store = openStore({ command, cram, scram }, { home, warn: assert.fail });
  server.serve({
    queueFor: () => new FakeQueue(),
    certificates: null,
    auth: { store, withoutTls: true },
  });
  return { port: server.ports[0] ?? 0, end: () => server.end(0) };
}

test("who guesses at two doors has no more tries than at one", { timeout: 120_000 }, async () => {
  await using server = await MailServer.create();
  const pop3 = await server.service("--without-tls");
  const smtp = await smtpService(server.home);
  const plain = (password: string) =>
    `AUTH PLAIN ${Buffer.from(`\0joe\0${password}`).toString("base64")}`;
  const bySmtp = (password: string) => ask(smtp.port, [plain(password)]);
  const byPop3 = (password: string) => ask(pop3, ["USER joe", `PASS ${password}`]);
  try {
    const guesses = Array.from({ length: 20 }, (_, at) => (at % 2 === 0 ? bySmtp : byPop3)("no"));
    for (const reply of await Promise.all(guesses)) {
      assert.match(reply ?? "", /^535 authorization failed|^-ERR authorization failed$/);
    }
    // Not even with the right password, by either.
    assert.equal(await byPop3("pw"), "-ERR [AUTH] too many failures, try again later");
    assert.equal(
      await bySmtp("pw"),
      "454 too many failed logins, wait before you try again (#4.7.0)",
    );
  } finally {
    await smtp.end();
  }
});
