/** Null clients, their hub, and QMTP from one mail server to another: whole installations. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { arrivedUntil, freePort, makeSite, qmailctl, run, type Site } from "./_site.ts";

const TO = "you@mail.example.test";

let hub: Site;
let qmqp: number;
let qmtp: number;

before(async () => {
  [qmqp, qmtp] = [await freePort(), await freePort()];
  hub = await makeSite({
    services: {
      smtp: { enabled: false },
      qmqp: { listen: `127.0.0.1:${qmqp}`, relayFrom: ["127.0.0.1"] },
      qmtp: { listen: `127.0.0.1:${qmtp}` },
    },
  });
  await hub.ok("install");
  await hub.ok("start");
});

after(() => hub[Symbol.asyncDispose]());

async function message(text: string): Promise<string> {
  const maildir = join(hub.home, "alias/you/Maildir/new");
  const texts = await arrivedUntil(maildir, (all) => all.some((each) => each.includes(text)));
  return texts.find((each) => each.includes(text)) ?? "";
}

/** A null client of the hubs at `ports`, in a directory of its own. */
async function makeClient(ports: readonly number[]): Promise<Site> {
  const client = await makeSite({
    host: "client.example.test",
    aliases: undefined,
    services: undefined,
    client: { hub: ports.map((port) => `127.0.0.1:${port}`) },
  });
  await client.ok("install");
  return client;
}

test("a null client has no queue, no daemons, and nothing to start", async () => {
  await using client = await makeClient([qmqp]);
  for (const path of ["queue", "drop", "service", "log", "rc"]) {
    assert.ok(!existsSync(join(client.home, path)), path);
  }
  const started = await client.ctl("start");
  assert.notEqual(started.code, 0);
  assert.match(started.stderr, /is a null client: it has no queue and nothing to run/);
  const again = JSON.parse(await client.ok("install", "--json"));
  assert.equal(again.changed, false);
});

test("sendmail of a null client: the second hub when the first is down", async () => {
  await using client = await makeClient([await freePort(), qmqp]);
  const input =
    "To: you@mail.example.test\nBcc: postmaster@mail.example.test\nSubject: by hub\n\n\xff\n";
  const sendmail = join(client.home, "bin/sendmail");
  const sent = await run(sendmail, ["-t", "-f", "me@client.example.test"], { input });
  assert.deepEqual([sent.code, sent.stderr], [0, ""]);
  const text = await message("Subject: by hub");
  assert.match(text, /^Return-Path: <me@client\.example\.test>$/m);
  assert.match(
    text,
    /^Received: from unknown \(127\.0\.0\.1\)\n {2}by mail\.example\.test with QMQP; /m,
  );
  assert.match(text, /^From: me@client\.example\.test$/m);
});

test("a null client whose hubs are all down says so, to be tried again", async () => {
  await using client = await makeClient([await freePort()]);
  const sendmail = join(client.home, "bin/sendmail");
  const sent = await run(sendmail, [TO], { input: "Subject: x\n\n" });
  assert.deepEqual(
    [sent.code, sent.stderr],
    [111, "sendmail: fatal: connection to mail server rejected (#4.4.1)\n"],
  );
});

test("a home with a queue does not become a null client", async () => {
  const config = join(hub.directory, "client.config.ts");
  writeFileSync(
    config,
    `export default { home: "./qmail", sandbox: true, client: { hub: "h" } };\n`,
  );
  const { code, stderr } = await qmailctl(["--config", config, "install"]);
  assert.equal(code, 100);
  assert.match(stderr, /cannot make a null client of .*: it has a queue/);
});

test("QMQP without relayFrom is no config", async () => {
  await using site = await makeSite({ services: { qmqp: {} } });
  const { code, stderr } = await site.ctl("install");
  assert.equal(code, 100);
  assert.match(stderr, /services\.qmqp\.relayFrom: found nothing; allowed: a list/);
});

test("who is not in relayFrom gets no word from the QMQP service", async () => {
  const answer = await exchange(
    "127.0.0.2",
    qmqp,
    "42:22:\nSubject: stranger\n\nx\n,3:a@b,5:a@b.c,,",
  );
  assert.equal(answer, "");
  assert.match(
    await hub.ok("log", "--service", "qmail-qmqpd"),
    /broken ip=127\.0\.0\.2 why=not_in_relayFrom/,
  );
});

const noSource = spawnSync("qmqp-source", []).error
  ? "qmqp-source (Debian: postfix) is not here"
  : false;

test("Postfix's qmqp-source", { skip: noSource }, async () => {
  const args = ["-m", "20", "-s", "4", "-l", "2000", "-f", "source@example.net", "-t", TO];
  const sent = await run("qmqp-source", [...args, `inet:127.0.0.1:${qmqp}`]);
  assert.deepEqual([sent.code, sent.stderr], [0, ""]);
  const maildir = join(hub.home, "alias/you/Maildir/new");
  const ofSource = (texts: readonly string[]) =>
    texts.filter((text) => text.startsWith("Return-Path: <source@example.net>"));
  const texts = await arrivedUntil(maildir, (all) => ofSource(all).length >= 20);
  assert.equal(ofSource(texts).length, 20);
});

test("qmail-remote by QMTP, as control/qmtproutes says", async () => {
  await using site = await makeSite({
    host: "other.example.test",
    control: { qmtproutes: [`mail.example.test:127.0.0.1:${qmtp}`] },
  });
  await site.ok("install");
  await site.ok("start");
  await site.ok("send", "--to", TO, "--subject", "by QMTP", "--body", "two\nlines\n");
  const text = await message("Subject: by QMTP");
  assert.match(
    text,
    /^Received: from unknown \(127\.0\.0\.1\)\n {2}by mail\.example\.test with QMTP; /m,
  );
  assert.ok(text.endsWith("\n\ntwo\nlines\n"));
  assert.match(await site.ok("log"), /success: 127\.0\.0\.1_accepted_message\./);
  assert.match(await hub.ok("log"), /qmtpd \d+: accepted qp=\d+ ip=127\.0\.0\.1/);
});

/** What a server answers to `text` from the local address `from`, until it hangs up. */
async function exchange(from: string, port: number, text: string): Promise<string> {
  const { connect } = await import("node:net");
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", localAddress: from });
    let answer = "";
    socket.on("data", (chunk) => (answer += chunk));
    socket.on("error", (error: NodeJS.ErrnoException) =>
      error.code === "ECONNRESET" ? resolve(answer) : reject(error),
    );
    socket.on("close", () => resolve(answer));
    socket.end(text);
  });
}
