import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { DotLock } from "../../../qmail/files/dotlock.ts";
import { LockBusyError } from "../../../qmail/files/lock.ts";

function mbox(t: TestContext): { path: string; lock: string } {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-dotlock-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "mbox");
  return { path, lock: `${path}.lock` };
}

/** The pid of a process that has gone. */
function deadPid(): number {
  return spawnSync("true").pid;
}

test("a lock file is there until it is released, and begins with 0 for others", async (t) => {
  const { path, lock } = mbox(t);
  const held = await DotLock.take(path, 1);
  assert.equal(readFileSync(lock, "utf8"), `0\n${hostname()}\n${process.pid}\n`);
  await assert.rejects(DotLock.take(path, 0), LockBusyError);
  held?.release();
  assert.equal(existsSync(lock), false);
});

test("the lock file of one of us that was killed holds nobody up", async (t) => {
  const { path, lock } = mbox(t);
  writeFileSync(lock, `0\n${hostname()}\n${deadPid()}\n`);
  (await DotLock.take(path, 0))?.release();
});

for (const [whose, content] of [
  ["of another program", "0\n"],
  ["of another program that says its pid", () => `${deadPid()}\n`],
  ["of one of us on another host", () => `0\nelsewhere.test\n${deadPid()}\n`],
  ["that says nothing", ""],
  ["that says nonsense", `0\n${hostname()}\n-1\n`],
] as const) {
  test(`a lock file ${whose} counts for five minutes`, async (t) => {
    const { path, lock } = mbox(t);
    writeFileSync(lock, typeof content === "string" ? content : content());
    await assert.rejects(DotLock.take(path, 0), LockBusyError);
    const then = Date.now() / 1000 - 301;
    utimesSync(lock, then, then);
    (await DotLock.take(path, 0))?.release();
  });
}
