/** The verbs of a classic qmailctl script, on a server that runs. */

import assert from "node:assert/strict";
import { appendFileSync, existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { dropName, formatTrailer } from "../../qmail/queue/drop.ts";
import { formatEnvelope } from "../../qmail/queue/envelope.ts";
import { arrived, makeSite, type Site, smtp, smtpMessage, until } from "./_site.ts";

async function running(fields: Record<string, unknown> = {}): Promise<Site> {
  const site = await makeSite(fields);
  await site.ok("install");
  await site.ok("start");
  return site;
}

async function pids(site: Site): Promise<Record<string, number>> {
  const { services } = JSON.parse(await site.ok("status", "--json"));
  return Object.fromEntries(
    services.map(({ name, pid }: { name: string; pid: number }) => [name, pid]),
  );
}

test("flush: what a killed program has left in drop is taken in", async () => {
  await using site = await running();
  const message = Buffer.from("Subject: left\n\nbehind\n");
  const envelope = formatEnvelope({ sender: "", recipients: ["you@mail.example.test"] });
  const sum = crc32(envelope, crc32(message));
  const trailer = formatTrailer({ size: message.length, envelopeSize: envelope.length, sum });
  const file = join(site.home, "drop", `${dropName()}.msg`);
  writeFileSync(file, Buffer.concat([message, envelope, trailer]), { mode: 0o640 });
  await site.ok("flush");
  const [text = ""] = await arrived(join(site.home, "alias/you/Maildir/new"), 1);
  assert.match(text, /\nSubject: left\n\nbehind\n$/);
  await until(() => !existsSync(file), "the file is removed");
});

test("flush, doqueue: what was deferred is tried now", async () => {
  await using site = await running({
    aliases: { later: ["|test -f now", "./later/Maildir/"], postmaster: "later" },
  });
  const maildir = join(site.home, "alias/later/Maildir/new");
  for (const [at, verb] of ["flush", "doqueue"].entries()) {
    await smtp(site.port, smtpMessage("", "later@mail.example.test", verb));
    await until(
      async () => (await site.ok("log")).split(": deferral").length === at + 2,
      "the message is deferred",
    );
    const [message] = JSON.parse(await site.ok("queue", "--json"));
    const [{ next, ...recipient }] = message.recipients;
    assert.deepEqual(recipient, {
      channel: "local",
      address: "later@mail.example.test",
      done: false,
    });
    assert.ok(Date.parse(next) > Date.now());
    assert.equal(message.lastError.recipient, "later@mail.example.test");
    assert.equal(readdirSync(maildir).length, at);
    writeFileSync(join(site.home, "alias/now"), "");
    assert.match(await site.ok(verb), /^Everything in the queue is tried now\.\n$/);
    await arrived(maildir, at + 1);
    await until(async () => (await site.ok("queue")) === "The queue is empty.\n", "it is done");
    rmSync(join(site.home, "alias/now"));
  }
});

test("reload, hup: locals and rcpthosts count without a restart", async () => {
  await using site = await running();
  const before = await pids(site);
  const to = "you@new.example.test";
  const [, , , refused = ""] = await smtp(site.port, smtpMessage("", to, "x")).catch(() => []);
  assert.doesNotMatch(refused, /^250/);
  for (const name of ["locals", "rcpthosts"]) {
    appendFileSync(join(site.home, "control", name), "new.example.test\n");
  }
  assert.match(
    await site.ok("reload"),
    /^Control files are read again by qmail-send and qmail-smtpd\.\n$/,
  );
  await until(
    async () => /^250/.test((await smtp(site.port, smtpMessage("", to, "x")))[3] ?? ""),
    "the new domain is accepted",
  );
  await arrived(join(site.home, "alias/you/Maildir/new"), 1);
  assert.deepEqual(await pids(site), before);
  await site.ok("hup");
});

test("pause holds everything, cont goes on; stat shows it; stop ends what is paused", async () => {
  await using site = await running();
  assert.match(
    await site.ok("pause"),
    /^Paused: qmail-send and qmail-smtpd\. To go on: qmailctl cont\n$/,
  );
  assert.match(await site.ok("stat"), /qmail-send \(paused\) [\s\S]*qmail-smtpd \(paused\) /);
  await site.ok(
    "send",
    "--to",
    "you@mail.example.test",
    "--subject",
    "s",
    "--body",
    "while paused",
  );
  const conversation = smtp(site.port, smtpMessage("", "you@mail.example.test", "x"));
  const maildir = join(site.home, "alias/you/Maildir/new");
  await until(async () => /1 message/.test(await site.ok("status")), "it is in the queue");
  assert.deepEqual(readdirSync(maildir), []);

  assert.match(await site.ok("cont"), /^Going on: qmail-send and qmail-smtpd\.\n$/);
  assert.match((await conversation)[5] ?? "", /^250 /);
  await arrived(maildir, 2);
  assert.doesNotMatch(await site.ok("status"), /paused/);

  await site.ok("pause");
  await site.ok("stop");
});

test("restart gives new processes, and starts what is stopped", async () => {
  await using site = await running();
  const before = await pids(site);
  await site.ok("restart");
  const after = await pids(site);
  assert.notEqual(after["qmail-send"], before["qmail-send"]);
  assert.notEqual(after["qmail-smtpd"], before["qmail-smtpd"]);
  await site.ok("stop");
  await site.ok("restart");
  await site.ok("status");
});

test("on a server that does not run they say so", async () => {
  await using site = await makeSite();
  await site.ok("install");
  for (const verb of ["flush", "reload", "pause", "cont"]) {
    const { code, stderr } = await site.ctl(verb);
    assert.equal(code, 111);
    assert.match(stderr, /^qmailctl: no mail server runs in .*\n {2}start it: qmailctl start\n$/);
  }
});
