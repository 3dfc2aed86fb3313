/** A sandbox from config file to mailbox, as its user sees it. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { processInfo } from "../../qmail/supervise/procfs.ts";
import { arrived, LAUNCHER, makeSite, smtp, smtpMessage } from "./_site.ts";

test("a message goes from SMTP to the Maildir, and every tool answers", async () => {
  await using site = await makeSite();
  await site.ok("install");
  await site.ok("start");

  const answers = await smtp(
    site.port,
    smtpMessage("a@example.net", "you@mail.example.test", "hi"),
  );
  assert.match(answers[0] ?? "", /^220 mail\.example\.test ESMTP\r\n/);
  assert.match(answers[5] ?? "", /^250 ok \d+ qp \d+\r\n/);
  const [text = ""] = await arrived(join(site.home, "alias/you/Maildir/new"), 1);
  assert.match(
    text,
    /^Return-Path: <a@example\.net>\nDelivered-To: you@mail\.example\.test\nReceived: \(qmail \d+ invoked from network\); .* -0000\nReceived: from .* \(127\.0\.0\.1\)\n {2}by mail\.example\.test with SMTP; .*\nSubject: test\n\nhi\n$/,
  );

  const status = JSON.parse(await site.ok("status", "--json"));
  assert.ok(JSON.stringify(status).includes("qmail-send"));
  assert.deepEqual(JSON.parse(await site.ok("queue", "list", "--json")), []);
  assert.match(await site.ok("log"), /end msg \d+/);
});

test("an alias forwards, an unknown recipient bounces, mail for others is refused", async () => {
  await using site = await makeSite({ aliases: { you: "./you/Maildir/", postmaster: "you" } });
  await site.ok("install");
  await site.ok("start");
  const maildir = join(site.home, "alias/you/Maildir/new");

  await smtp(site.port, smtpMessage("", "postmaster@mail.example.test", "to the postmaster"));
  const [forwarded = ""] = await arrived(maildir, 1);
  assert.match(forwarded, /Delivered-To: you@mail[\s\S]*Delivered-To: postmaster@mail/);

  await smtp(site.port, smtpMessage("you@mail.example.test", "nobody@mail.example.test", "lost"));
  const texts = await arrived(maildir, 2);
  const bounce = texts.find((text) => text.includes("failure notice")) ?? "";
  assert.match(bounce, /^Return-Path: <>$/m);
  assert.match(bounce, /Hi\. This is the qmail-send program at mail\.example\.test\.\n/);
  assert.match(
    bounce,
    /<nobody@mail\.example\.test>:\nSorry, no mailbox here by that name\. \(#5\.1\.1\)\n/,
  );

  const answers = await smtp(site.port, [
    "HELO x",
    "MAIL FROM:<a@b.test>",
    "RCPT TO:<x@other.test>",
  ]);
  assert.match(answers[3] ?? "", /^553 sorry, that domain isn't in my list of allowed rcpthosts/);
});

test("install again changes nothing; a hand edit is shown and kept", async () => {
  await using site = await makeSite();
  await site.ok("install");
  const again = JSON.parse(await site.ok("install", "--json"));
  assert.equal(again.changed, false);

  appendFileSync(join(site.home, "control/rcpthosts"), "by.hand.test\n");
  const shown = await site.ok("install");
  assert.match(shown, /control\/rcpthosts\n\s+- by\.hand\.test/);
  assert.match(readFileSync(join(site.home, "control/rcpthosts"), "utf8"), /by\.hand\.test/);
  await site.ok("install", "--force");
  assert.doesNotMatch(readFileSync(join(site.home, "control/rcpthosts"), "utf8"), /by\.hand/);
});

test("--dry-run touches nothing", async () => {
  await using site = await makeSite();
  await site.ok("install", "--dry-run");
  assert.ok(!existsSync(site.home));
});

test("start twice says that it runs; stop leaves nothing behind; stop twice is no error", async () => {
  await using site = await makeSite();
  await site.ok("install");
  await site.ok("start");
  assert.match(await site.ok("start"), /already/);
  const pids =
    JSON.stringify(JSON.parse(await site.ok("status", "--json"))).match(/"pid":\d+/g) ?? [];
  assert.ok(pids.length >= 7, `${pids}`);
  await site.ok("stop");
  for (const pid of pids) assert.equal(processInfo(Number(pid.slice(6))), null, pid);
  await site.ok("stop");
  assert.notEqual((await site.ctl("status")).code, 0);
});

test("start --foreground stays until it is told to end, and then nothing is left", async () => {
  await using site = await makeSite();
  await site.ok("install");
  const args = [LAUNCHER, "--config", site.config, "start", "--foreground"];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  let said = "";
  for await (const chunk of child.stdout) {
    said += String(chunk);
    if (said.includes("is running.")) break;
  }
  assert.match(await site.ok("start"), /already/);
  child.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);
  assert.equal((await site.ctl("status")).code, 3);
});
