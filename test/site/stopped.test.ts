/**
 * A process that does not hear: the queue server or a spawner is stopped, its qmail-send is killed, and it wakes up ten
 * seconds later. Nothing is lost, nobody gets another's mail, and mail goes on. 20 rounds of it with QMAILCTL_TEST_LONG=1.
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { processInfo } from "../../qmail/supervise/procfs.ts";
import { pidsOf } from "./_processes.ts";
import { arrived, arrivedUntil, makeSite, type Site, smtp, smtpMessage } from "./_site.ts";

const ROUNDS = process.env.QMAILCTL_TEST_LONG ? 20 : 1;
const ASLEEP_MS = 10_000;
/** Mail goes on so long after the sleeper has woken. */
const GOES_ON_MS = 10_000;

/** One message; true when it was answered with 250. */
async function send(site: Site, user: string, body: string): Promise<boolean> {
  try {
    const answers = await smtp(site.port, smtpMessage("", `${user}@mail.example.test`, body));
    return /^250 /.test(answers[5] ?? "");
  } catch {
    return false;
  }
}

/** Sends to two users in turn until told to stop; returns what was accepted, by user. */
async function flood(site: Site, sender: string, stopped: () => boolean) {
  const accepted: Record<"one" | "two", string[]> = { one: [], two: [] };
  for (let count = 0; !stopped() && count < 20_000; count++) {
    const user = count % 2 === 0 ? "one" : "two";
    const body = `for ${user} ${sender}${count} end`;
    if (await send(site, user, body)) accepted[user].push(body);
    else await sleep(20);
  }
  return accepted;
}

for (const sleeper of ROUNDS > 1 ? ["qmail-queue", "qmail-lspawn"] : ["qmail-queue"]) {
  test(`${sleeper} stopped, its qmail-send killed: nothing is lost, mail goes on (${ROUNDS})`, async () => {
    await using site = await makeSite({
      aliases: { one: "./one/Maildir/", two: "./two/Maildir/", postmaster: "one" },
    });
    await site.ok("install");
    await site.ok("start");
    const directory = (user: string) => join(site.home, `alias/${user}/Maildir/new`);
    assert.ok(await send(site, "one", "first"));
    await arrived(directory("one"), 1);
    for (let round = 0; round < ROUNDS; round++) {
      let stop = false;
      const floods = ["a", "b", "c"].map((sender) => flood(site, `${sender}${round}.`, () => stop));
      // Also when the test fails: they would keep it from ending.
      using _floods = { [Symbol.dispose]: () => (stop = true) };
      await sleep(500);
      const [stopped = 0] = pidsOf(site, sleeper);
      const [killed = 0] = pidsOf(site, "qmail-send");
      const asleep = processInfo(stopped);
      process.kill(stopped, "SIGSTOP");
      process.kill(killed, "SIGKILL");
      await sleep(ASLEEP_MS);
      // The supervisor may have ended it: then another may have its pid.
      const now = processInfo(stopped);
      if (now && now.startTicks === asleep?.startTicks) process.kill(stopped, "SIGCONT");
      const woken = performance.now();
      while (!(await send(site, "two", `after ${round}`))) {
        assert.ok(performance.now() - woken < GOES_ON_MS, "mail does not go on");
        await sleep(50);
      }
      await arrivedUntil(directory("two"), (texts) =>
        texts.some((text) => text.includes(`after ${round}`)),
      );
      assert.ok(performance.now() - woken < GOES_ON_MS, "mail goes on too late");
      stop = true;
      const accepted = await Promise.all(floods);
      await site.ok("flush");
      for (const user of ["one", "two"] as const) {
        const wanted = accepted.flatMap((each) => each[user]);
        await arrivedUntil(
          directory(user),
          (texts) => {
            const bodies = new Set(texts.map((text) => /for \w+ [\w.]+ end/.exec(text)?.[0]));
            return wanted.every((body) => bodies.has(body));
          },
          60,
        );
        const wrong = readdirSync(directory(user))
          .map((name) => readFileSync(join(directory(user), name), "latin1"))
          .filter((text) => /for \w+ [\w.]+ end/.test(text) && !text.includes(`for ${user} `));
        assert.deepEqual(wrong, []);
      }
    }
  });
}
