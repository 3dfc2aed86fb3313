/** What waits in drop is shown, and told apart from what is in the queue. */

import assert from "node:assert/strict";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { arrived, makeSite, run } from "./_site.ts";

test("queue list, queue check: what waits in drop; with the daemons up it goes, whatever lies before it", async () => {
  await using site = await makeSite();
  await site.ok("install");
  symlinkSync("/root/x", join(site.home, "drop/000"));
  symlinkSync("/root/x", join(site.home, "drop/000.msg"));
  const sendmail = join(site.home, "bin/sendmail");
  const { code } = await run(sendmail, ["you@mail.example.test"], {
    input: "Subject: x\n\nbody\n",
  });
  assert.equal(code, 0);
  // Longer than a message is on its way.
  await sleep(5100);
  assert.match(await site.ok("queue", "list"), /empty\.\n1 message in drop, for \d+s: taken in/);
  assert.match(await site.ok("queue", "check"), /1 message in drop.*\n2 files in drop/);
  const { dropsWaiting } = JSON.parse(await site.ok("queue", "check", "--json"));
  assert.deepEqual([dropsWaiting.messages, dropsWaiting.odd], [1, 2]);
  await site.ok("start");
  await arrived(join(site.home, "alias/you/Maildir/new"), 1);
  assert.doesNotMatch(await site.ok("queue", "list"), /message in drop/);
  const log = await site.ok("log", "show", "--lines", "100");
  assert.equal(log.match(/not made by qmail-queue/g)?.length, 2);
});
