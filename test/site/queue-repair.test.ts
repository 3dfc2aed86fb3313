/** A queue that was copied away and back, checked, repaired, and delivered. */

import assert from "node:assert/strict";
import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { arrived, makeSite, run, type Site, smtp, smtpMessage, until } from "./_site.ts";

const TO = "later@mail.example.test";
const MESSAGES = 12;

/** A site with messages that are deferred as long as there is no alias/now. */
async function deferring(): Promise<Site> {
  const site = await makeSite({
    aliases: { later: ["|test -f now", "./later/Maildir/"], postmaster: "later" },
  });
  await site.ok("install");
  await site.ok("start");
  for (let at = 0; at < MESSAGES; at++) {
    await smtp(site.port, smtpMessage(`from${at}@far.test`, TO, `message ${at}`));
  }
  await until(
    async () => (await site.ok("log")).split(": deferral").length > MESSAGES,
    "all are deferred",
  );
  return site;
}

/** As an administrator moves a queue to another disk: inode numbers, times and some modes are lost. */
async function copyAwayAndBack(site: Site): Promise<void> {
  const away = join(site.directory, "away");
  for (const [from, to] of [
    [join(site.home, "queue"), away],
    [away, join(site.home, "queue")],
  ] as const) {
    assert.equal((await run("cp", ["-r", from, to])).code, 0);
    rmSync(from, { recursive: true });
  }
}

async function queued(site: Site): Promise<{ id: string; birth: string; sender: string }[]> {
  return JSON.parse(await site.ok("queue", "list", "--json"));
}

function bySender(messages: readonly { birth: string; sender: string }[]) {
  return new Map(messages.map(({ sender, birth }) => [sender, Date.parse(birth)]));
}

test("a queue copied with cp -r: check says so, repair puts it right, each message arrives once", async () => {
  await using site = await deferring();
  assert.match(await site.ok("queue", "check"), /^The queue is as it should be: 12 messages\.\n$/);
  const births = bySender(await queued(site));

  const busy = await site.ctl("queue", "repair", "--yes");
  assert.equal(busy.code, 111);
  assert.match(busy.stderr, /the queue is in use[\s\S]*qmailctl stop/);

  await site.ok("stop");
  await copyAwayAndBack(site);
  const check = await site.ctl("queue", "check");
  assert.equal(check.code, 1, check.stderr);
  assert.match(
    check.stdout,
    /Messages whose name is not the inode number.*: 12\n {2}queue\/mess\/\d+\/\d+: should be queue\/mess\/\d+\/\d+\n/,
  );
  assert.match(check.stdout, /Mend it with qmailctl queue repair: /);
  const { ok, faults } = JSON.parse((await site.ctl("queue", "check", "--json")).stdout);
  assert.equal(ok, false);
  assert.equal(faults.filter(({ fault }: { fault: string }) => fault === "place").length, MESSAGES);

  const unasked = await site.ctl("queue", "repair");
  assert.equal(unasked.code, 100);
  assert.match(unasked.stderr, /--yes/);

  assert.match(
    await site.ok("queue", "repair", "--yes"),
    /The queue is as it should be: 12 messages\.\n$/,
  );
  assert.match(await site.ok("queue", "check"), /^The queue is as it should be: 12 messages\.\n$/);
  for (const [sender, birth] of bySender(await queued(site))) {
    // The time in Received: when qmail-queue took it, a moment before qmail-send did.
    const came = births.get(sender) ?? 0;
    assert.ok(birth <= came + 1000 && birth > came - 10_000, `${sender}: ${birth}, ${came}`);
  }

  writeFileSync(join(site.home, "alias/now"), "");
  await site.ok("start");
  const maildir = join(site.home, "alias/later/Maildir/new");
  const texts = await arrived(maildir, MESSAGES);
  await until(async () => (await site.ok("queue")) === "The queue is empty.\n", "all are done");
  assert.equal(readdirSync(maildir).length, MESSAGES);
  for (let at = 0; at < MESSAGES; at++) {
    const [text = "", ...more] = texts.filter((mail) => mail.includes(`\nmessage ${at}\n`));
    assert.deepEqual(more, []);
    assert.match(text, new RegExp(`^Return-Path: <from${at}@far.test>\n`));
  }
});

test("no qmail-send starts while a repair is half done; run again it ends", async () => {
  await using site = await deferring();
  await site.ok("stop");
  // As a repair leaves it that was killed when it had begun.
  mkdirSync(join(site.home, "queue/repair"), { mode: 0o700 });
  renameSync(join(site.home, "queue/lock/sendmutex"), join(site.home, "queue/repair/sendmutex"));
  const start = await site.ctl("start");
  assert.equal(start.code, 111, start.stdout);
  assert.match(start.stderr, /the queue is being repaired[\s\S]*qmailctl queue repair/);
  // An install makes what is missing: that must not open the way.
  await site.ok("install");
  assert.equal((await site.ctl("start")).code, 111);
  const remove = await site.ctl("queue", "delete", "--all", "--yes");
  assert.equal(remove.code, 111, remove.stdout);
  assert.match(remove.stderr, /the queue is being repaired/);

  const check = await site.ctl("queue", "check");
  assert.equal(check.code, 1);
  assert.match(check.stdout, /A repair was interrupted/);
  await site.ok("queue", "repair", "--yes");
  assert.ok(statSync(join(site.home, "queue/lock/sendmutex")).isFile());
  await site.ok("start");
});
