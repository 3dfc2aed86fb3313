import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { reportDrops } from "../../../commands/queue/drops.ts";
import { dropsWaiting } from "../../../qmail/queue/drops-waiting.ts";

test("what waits in drop is counted with the time since, whatever else lies there", (t) => {
  const home = mkdtempSync(join(tmpdir(), "qmailctl-waiting-"));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  assert.equal(dropsWaiting(home), null);
  const drop = join(home, "drop");
  mkdirSync(drop);
  assert.deepEqual(dropsWaiting(home), { messages: 0, bytes: 0, since: null, odd: 0 });
  const before = Date.now() - 10;
  for (const name of ["1.a.msg", "2.b.msg", "3.c.tmp"]) {
    writeFileSync(join(drop, name), "12345");
    // Nobody can make it look older, or younger, than it is.
    utimesSync(join(drop, name), 1, 1);
  }
  symlinkSync("/etc/passwd", join(drop, "4.d.msg"));
  symlinkSync("loop", join(drop, "loop"));
  mkdirSync(join(drop, "5.e.msg"));
  assert.equal(spawnSync("mkfifo", [join(drop, "6.f.msg")]).status, 0);
  writeFileSync(Buffer.from(`${drop}/\xff\n.msg`, "latin1"), "");
  const found = dropsWaiting(home);
  assert.deepEqual([found?.messages, found?.bytes, found?.odd], [2, 10, 5]);
  assert.ok((found?.since ?? 0) >= before);

  const soon = reportDrops(home, (found?.since ?? 0) + 60_000);
  assert.equal(soon.stuck, false);
  assert.deepEqual(soon.lines, [
    "2 messages in drop, for 1m: taken in by qmail-send",
    "5 files in drop that qmail-queue did not make: removed when old",
  ]);
  assert.equal(reportDrops(home, (found?.since ?? 0) + 3600_000).stuck, true);
});
