/**
 * SIGKILL of any one process while mail comes in: it is restarted, and every message answered with 250
 * arrives. That holds for the supervisor and for the keeper that starts it again.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { bootId, processInfo } from "../../qmail/supervise/procfs.ts";
import { pidsIn, pidsOf } from "./_processes.ts";
import { arrived, arrivedUntil, makeSite, type Site, smtp, smtpMessage, until } from "./_site.ts";

const PROCESSES = [
  "qmail-send",
  "qmail-lspawn",
  "qmail-rspawn",
  "qmail-queue",
  "qmail-local",
  "qmail-smtpd",
  "splogger",
  "multilog",
  "qmail-supervise",
  "qmail-keeper",
];

/** Sends messages one after another until told to stop; returns the bodies that were answered with 250. */
async function sendUntil(site: Site, sender: string, stopped: () => boolean): Promise<string[]> {
  const accepted: string[] = [];
  for (let count = 0; !stopped() && count < 2000; count++) {
    const body = `message ${sender}${count} end`;
    try {
      const answers = await smtp(site.port, smtpMessage("", "you@mail.example.test", body));
      if (/^250 /.test(answers[5] ?? "")) accepted.push(body);
    } catch {
      // Refused or cut off: not accepted.
      await sleep(10);
    }
  }
  return accepted;
}

for (const title of PROCESSES) {
  test(`${title} killed while mail comes in`, async () => {
    await using site = await makeSite();
    await site.ok("install");
    await site.ok("start");
    const maildir = join(site.home, "alias/you/Maildir/new");
    await smtp(site.port, smtpMessage("", "you@mail.example.test", "first"));
    await arrived(maildir, 1);

    let stop = false;
    const sending = [sendUntil(site, "a", () => stop), sendUntil(site, "b", () => stop)];
    const [pid] = pidsOf(site, title);
    assert.ok(pid, `${title} is not running`);
    await arrived(maildir, 10);
    process.kill(pid, "SIGKILL");
    await until(() => pidsOf(site, title).some((each) => each !== pid), `${title} is restarted`);
    // The system is whole again when messages sent after the kill arrive.
    await arrived(maildir, readdirSync(maildir).length + 30, 60);
    stop = true;
    const accepted = (await Promise.all(sending)).flat();
    await site.ok("flush");

    // A delivery that was reported too late is made twice, so the number says nothing.
    await arrivedUntil(
      maildir,
      (texts) => {
        const bodies = new Set(texts.map((text) => /message \w+ end/.exec(text)?.[0]));
        return accepted.every((body) => bodies.has(body));
      },
      60,
    );

    await site.ok("stop");
    await until(() => pidsIn(site.home).length === 0, "nothing is left");
  });
}

/** Kills supervisor and keeper: what a power cut of the terminal, an OOM killer or a bad script may do. */
async function orphan(site: Site): Promise<void> {
  for (const title of ["qmail-keeper", "qmail-supervise"]) {
    for (const pid of pidsOf(site, title)) process.kill(pid, "SIGKILL");
  }
  await until(() => pidsOf(site, "qmail-supervise").length === 0, "the supervisor has gone");
}

test("services that lost supervisor and keeper are ended by start, which says so", async () => {
  await using site = await makeSite();
  await site.ok("install");
  await site.ok("start");
  await orphan(site);
  const [before] = pidsOf(site, "qmail-send");
  assert.ok(before, "the services go on");
  assert.equal((await site.ctl("status")).code, 3);

  const text = await site.ok("start");
  assert.match(text, new RegExp(`qmail-send was left by a supervisor that died.*${before}`));
  assert.equal(processInfo(before), null);
  await smtp(site.port, smtpMessage("", "you@mail.example.test", "after"));
  await arrived(join(site.home, "alias/you/Maildir/new"), 1);
});

test("stop ends them too", async () => {
  await using site = await makeSite();
  await site.ok("install");
  await site.ok("start");
  await orphan(site);
  assert.match(await site.ok("stop"), /is stopped/);
  await until(() => pidsIn(site.home).length === 0, "nothing is left");
});

test("what a power cut leaves in run/ is no obstacle, and nobody else's process is touched", async () => {
  await using site = await makeSite();
  await site.ok("install");
  await site.ok("start");
  await site.ok("stop");
  const state = join(site.home, "run/supervise.state");
  const bystander = spawn("sleep", ["600"], { detached: true, stdio: "ignore" });
  const pid = Number(bystander.pid);
  try {
    const { startTicks } = processInfo(pid) ?? {};
    for (const boot of ["an earlier one", bootId()]) {
      const groups = [{ name: "qmail-send", pid, startTicks }];
      writeFileSync(state, JSON.stringify({ boot, groups }));
      writeFileSync(join(site.home, "run/supervise"), "");
      assert.doesNotMatch(await site.ok("start"), /was left/);
      await site.ok("stop");
    }
    for (const text of ["half a file", "{}", ""]) {
      writeFileSync(state, text);
      await site.ok("restart");
    }
    assert.ok(processInfo(pid), "the other process lives");
  } finally {
    bystander.kill("SIGKILL");
  }
});
