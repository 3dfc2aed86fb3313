/** An install that is interrupted, and what the next one makes of it. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { arrived, LAUNCHER, makeSite, type Site, smtp, smtpMessage } from "./_site.ts";

function temporaries(home: string): string[] {
  return readdirSync(home, { recursive: true, encoding: "utf8" }).filter((name) =>
    /\.qmailctl\.\d/.test(name),
  );
}

/** Runs install and kills it after `ms`. True when that was in the middle. */
async function interrupted(site: Site, ms: number): Promise<boolean> {
  const args = [LAUNCHER, "--config", site.config, "install"];
  const child = spawn(process.execPath, args, { stdio: "ignore" });
  const ended = once(child, "exit");
  await Promise.race([ended, sleep(ms)]);
  child.kill("SIGKILL");
  const [code] = await ended;
  return code === null;
}

test("killed at any moment: the next run finishes it, and the server works", async () => {
  await using site = await makeSite();
  const started = Date.now();
  await site.ok("install");
  const whole = Date.now() - started;
  let kills = 0;
  for (const part of [0.5, 0.6, 0.7, 0.8]) {
    rmSync(site.home, { recursive: true });
    if (await interrupted(site, whole * part)) kills++;
    await site.ok("install");
    assert.deepEqual(temporaries(site.home), []);
  }
  assert.equal(JSON.parse(await site.ok("install", "--json")).changed, false);
  assert.ok(kills > 0, "at least one was killed in the middle");
  await site.ok("start");
  await smtp(site.port, smtpMessage("", "you@mail.example.test", "works"));
  await arrived(join(site.home, "alias/you/Maildir/new"), 1);
});

test("what a killed run leaves is mended: files in the making, half a Maildir, a short table", async () => {
  await using site = await makeSite();
  await site.ok("install");
  writeFileSync(join(site.home, "control/.qmailctl.999999999.0123456789ab"), "half");
  mkdirSync(join(site.home, "alias/.qmailctl.999999999.0123456789ab"));
  // One of a process that lives: it is still at work.
  const lives = `bin/.qmailctl.${process.pid}.0123456789ab`;
  writeFileSync(join(site.home, lives), "");
  rmSync(join(site.home, "alias/you/Maildir/tmp"), { recursive: true });
  truncateSync(join(site.home, "queue/lock/tcpto"), 0);

  const text = await site.ok("install");
  assert.match(text, /temporary files: 2 left by an interrupted run: put right/);
  assert.match(text, /alias\/you\/Maildir\/: made/);
  assert.match(text, /queue\/lock\/tcpto: too short: put right/);
  assert.deepEqual(temporaries(site.home), [lives]);
  assert.equal(JSON.parse(await site.ok("install", "--json")).changed, false);
});

test("a second install with another host changes what follows from it, hand edits apart", async () => {
  await using site = await makeSite();
  await site.ok("install");
  writeFileSync(join(site.home, "control/plusdomain"), "mine.test\n");
  const dry = await site.ok("install", "--host", "mx.example.org", "--dry-run");
  assert.match(
    dry,
    /control\/me, control\/locals, control\/rcpthosts: not as it should be|control\/me \.\.\./,
  );
  const report = JSON.parse(await site.ok("install", "--host", "mx.example.org", "--json"));
  const rows = report.steps.flatMap(
    ({ rows }: { rows: { name: string; state: string }[] }) => rows,
  );
  const states = Object.fromEntries(
    rows.map(({ name, state }: { name: string; state: string }) => [name, state]),
  );
  assert.equal(states["control/me"], "changed");
  assert.equal(states["control/defaultdomain"], "changed");
  assert.equal(states["control/plusdomain"], "edited");
  assert.equal(report.edited, true);
});
