/** The doors as others open them: Debian's tcpserver runs our programs, Postfix's smtp-source comes in by each. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { arrived, freePort, lacks, makeSite, run, type Site } from "./_site.ts";

/** /usr/sbin, where smtp-source is, need not be in a user's PATH. */
const SMTP_SOURCE = "/usr/sbin/smtp-source";
const TO = "you@mail.example.test";

const skip =
  lacks("tcpserver") ||
  ((await run(SMTP_SOURCE, []).catch(() => null)) === null && "needs smtp-source");

/** Debian's tcpserver with `program` behind it, on a port that it finds itself; ended at the end. */
class TcpServer implements AsyncDisposable {
  readonly port: Promise<number>;
  readonly #child;
  #log = "";

  constructor(program: readonly string[], options: readonly string[] = []) {
    const args = ["-1", "-v", "-R", "-H", "-l", "0", ...options, "127.0.0.1", "0", ...program];
    this.#child = spawn("tcpserver", args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#child.stderr.on("data", (chunk) => (this.#log += chunk));
    this.port = once(this.#child.stdout, "data").then(([line]) => Number(line));
  }

  get log(): string {
    return this.#log;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = once(this.#child, "exit");
    this.#child.kill();
    await exited;
  }
}

async function runningSite(): Promise<Site> {
  const site = await makeSite();
  await site.ok("install");
  await site.ok("start");
  return site;
}

/** Postfix's load generator: `count` messages of `from` in two sessions at once. */
async function smtpSource(port: number, count: number, from = "sender@else.test"): Promise<void> {
  const args = ["-s", "2", "-m", String(count), "-l", "3000", "-f", from, "-t", TO];
  const { code, stderr } = await run(SMTP_SOURCE, [...args, `127.0.0.1:${port}`]);
  assert.equal(code, 0, stderr);
}

const maildir = (site: Site) => join(site.home, "alias/you/Maildir/new");

test("smtp-source sends to the service", { skip, timeout: 120_000 }, async () => {
  await using site = await runningSite();
  await smtpSource(site.port, 20);
  const texts = await arrived(maildir(site), 20);
  assert.equal(texts.length, 20);
  for (const text of texts) assert.match(text, /^Return-Path: <sender@else\.test>$/m);
});

test("tcpserver runs bin/qmail-smtpd for each connection, as its rules say", {
  skip,
  timeout: 120_000,
}, async () => {
  await using site = await runningSite();
  const rules = join(site.directory, "rules.cdb");
  const compile = (text: string) =>
    run("tcprules", [rules, `${rules}.tmp`], { input: text }).then(({ code }) => code);
  assert.equal(await compile('127.:allow,RELAYCLIENT="",DATABYTES="20000"\n:deny\n'), 0);
  const program = [join(site.home, "bin/qmail-smtpd")];
  await using server = new TcpServer(program, ["-x", rules]);
  const port = await server.port;
  await smtpSource(port, 6);
  const texts = await arrived(maildir(site), 6);
  for (const text of texts) assert.match(text, /\(127\.0\.0\.1\)\n {2}by \S+ with SMTP; /);
  assert.match(server.log, /event=accepted ip=127\.0\.0\.1 /);

  const large = ["-m", "1", "-l", "30000", "-f", "a@b.test", "-t", TO, `127.0.0.1:${port}`];
  assert.notEqual((await run(SMTP_SOURCE, large)).code, 0);
  assert.match(server.log, /event=refused-message .* reply=552 /);
});

test("tcpserver runs bin/ofmipd with a table of names", { skip, timeout: 120_000 }, async () => {
  await using site = await runningSite();
  const names = join(site.directory, "names.cdb");
  const table = "joe@mail.example.test:Joe Shmoe:sales@mail.example.test:\n";
  const made = await run(join(site.home, "bin/ofmipname"), [names, `${names}.tmp`], {
    input: table,
  });
  assert.equal(made.code, 0, made.stderr);
  await using server = new TcpServer([join(site.home, "bin/ofmipd"), names]);
  await smtpSource(await server.port, 2, "joe@mail.example.test");
  const texts = await arrived(maildir(site), 2);
  for (const text of texts) {
    assert.match(text, /^Return-Path: <sales@mail\.example\.test>$/m);
    assert.deepEqual(text.match(/^From: .*$/gm), ['From: "Joe Shmoe" <sales@mail.example.test>']);
  }
});

test("tcpserver runs bin/qmail-qmtpd", { skip, timeout: 120_000 }, async () => {
  await using site = await runningSite();
  await using server = new TcpServer([join(site.home, "bin/qmail-qmtpd")]);
  const netstring = (text: string) => `${text.length}:${text},`;
  const message = (recipient: string) =>
    netstring("\nSubject: by QMTP\n\nhello\n") +
    netstring("sender@else.test") +
    netstring(netstring(recipient));
  const socket = connect(await server.port, "127.0.0.1");
  socket.end(message(TO) + message("x@else.test"));
  const said = String(Buffer.concat(await socket.toArray()));
  assert.match(said, /^\d+:Kok \d+ qp \d+,\d+:Dsorry, that domain isn't in my list/);
  const [text = ""] = await arrived(maildir(site), 1);
  assert.match(text, / \(127\.0\.0\.1\)\n {2}by \S+ with QMTP; [\s\S]*^Subject: by QMTP$/m);
});

test("tcpserver runs bin/qmail-qmqpd, for qmqp-source", {
  skip,
  timeout: 120_000,
}, async () => {
  await using site = await runningSite();
  await using server = new TcpServer([join(site.home, "bin/qmail-qmqpd")]);
  const address = `127.0.0.1:${await server.port}`;
  const args = ["-s", "2", "-m", "6", "-l", "3000", "-f", "sender@else.test", "-t", TO];
  const { code, stderr } = await run("/usr/sbin/qmqp-source", [...args, address]);
  assert.equal(code, 0, stderr);
  const texts = await arrived(maildir(site), 6);
  for (const text of texts) assert.match(text, /\(127\.0\.0\.1\)\n {2}by \S+ with QMQP; /);
});

test("a rule of the config holds for the service", { skip, timeout: 120_000 }, async () => {
  const port = await freePort();
  await using site = await makeSite({
    services: { smtp: { listen: `127.0.0.1:${port}`, rules: ["127.0.0.1:deny"] } },
  });
  await site.ok("install");
  await site.ok("start");
  const args = ["-m", "1", "-f", "a@b.test", "-t", TO, `127.0.0.1:${port}`];
  assert.notEqual((await run(SMTP_SOURCE, args)).code, 0);
  assert.match(await site.ok("log"), /event=denied ip=127\.0\.0\.1 rule=127\.0\.0\.1$/m);
  const again = await site.ok("install");
  assert.doesNotMatch(again, /tcp\.smtp/);
});
