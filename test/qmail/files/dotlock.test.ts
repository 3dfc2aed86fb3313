import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import fs, {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { DotLock } from "../../../qmail/files/dotlock.ts";
import { LockBusyError } from "../../../qmail/files/lock.ts";
import type { Machine } from "../../../qmail/files/lock-file.ts";
import { thisMachine } from "../../../qmail/supervise/machine.ts";

const CONTENDER = fileURLToPath(new URL("./_contender.ts", import.meta.url));
const MINUTE = 60;

function mbox(t: TestContext): { path: string; lock: string; directory: string } {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-dotlock-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "mbox");
  return { path, lock: `${path}.lock`, directory };
}

/** This machine, but for what a test says of it. */
function machine(fields: Partial<Machine> = {}): Machine {
  const real = thisMachine();
  return {
    host: real.host,
    boot: real.boot,
    now: () => real.now(),
    // Nothing here is older, however short this machine has run.
    bootedAt: () => 0,
    started: (pid) => real.started(pid),
    alone: () => true,
    ...fields,
  };
}

/** Tries once, and once more when there was nobody behind what was there. */
function take(path: string, fields: Partial<Machine> = {}): Promise<DotLock | null> {
  return DotLock.take(path, { machine: machine(fields), signal: AbortSignal.abort() });
}

/** The pid of a process that has gone. */
function deadPid(): number {
  return spawnSync("true").pid;
}

function age(path: string, seconds: number): void {
  const then = Date.now() / 1000 - seconds;
  utimesSync(path, then, then);
}

/** What a killed process of ours has left. */
function leave(lock: string): void {
  writeFileSync(lock, `0\n${hostname()}\n${deadPid()}\n1\n${thisMachine().boot}\n`);
}

/** Does `first` before the next call of node:fs `name`. */
function before(t: TestContext, name: "renameSync", first: () => void): void {
  const real = fs[name];
  t.mock.method(fs, name, (...args: Parameters<typeof real>) => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
    first();
    return real(...args);
  });
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
}

test("a lock file is there until it is released, begins with 0 for others, and tells us whose it is", async (t) => {
  const { path, lock, directory } = mbox(t);
  const held = await take(path);
  const { boot } = thisMachine();
  const ticks = thisMachine().started(process.pid);
  assert.ok(typeof ticks === "number" && ticks > 0 && boot !== "");
  assert.equal(readFileSync(lock, "utf8"), `0\n${hostname()}\n${process.pid}\n${ticks}\n${boot}\n`);
  await assert.rejects(take(path), LockBusyError);
  // However old: it is known to be alive.
  age(lock, 6 * MINUTE);
  await assert.rejects(take(path), LockBusyError);
  held?.release();
  assert.deepEqual(readdirSync(directory), []);
});

test("the lock file of one of us that was killed holds nobody up", async (t) => {
  const { path, lock, directory } = mbox(t);
  leave(lock);
  (await take(path))?.release();
  // Of the version before this one.
  writeFileSync(lock, `0\n${hostname()}\n${deadPid()}\n`);
  (await take(path))?.release();
  assert.deepEqual(readdirSync(directory), []);
});

for (const [whose, content] of [
  ["of another program", "0\n"],
  ["of another program that lives", `${process.pid}\n`],
  ["of one of us on another host", () => `0\nelsewhere.test\n${deadPid()}\n`],
  ["that says nothing", ""],
  ["that says nonsense", `0\n${hostname()}\n-1\n`],
] as const) {
  const text = () => (typeof content === "string" ? content : content());
  test(`a lock file ${whose} counts for five minutes`, async (t) => {
    const { path, lock } = mbox(t);
    writeFileSync(lock, text());
    await assert.rejects(take(path), LockBusyError);
    age(lock, 5 * MINUTE + 1);
    (await take(path))?.release();
    assert.equal(existsSync(lock), false);
  });

  test(`a lock file ${whose} from before this machine was booted is nobody's`, async (t) => {
    const { path, lock } = mbox(t);
    writeFileSync(lock, text());
    age(lock, 20);
    const bootedAt = () => Date.now() - 10_000;
    await assert.rejects(take(path, { bootedAt, alone: () => false }), LockBusyError);
    (await take(path, { bootedAt }))?.release();
    assert.equal(existsSync(lock), false);
  });
}

test("the lock file of another program that has died, as lockfile_create(3) judges it", async (t) => {
  const { path, lock } = mbox(t);
  writeFileSync(lock, `${deadPid()}\n`);
  await assert.rejects(take(path, { alone: () => false }), LockBusyError);
  (await take(path))?.release();
  assert.equal(existsSync(lock), false);
});

test("a lock file ahead of the clock begins its five minutes now", async (t) => {
  const { path, lock } = mbox(t);
  writeFileSync(lock, "");
  age(lock, -24 * 60 * MINUTE);
  await assert.rejects(take(path), LockBusyError);
  assert.ok(Math.abs(statSync(lock).mtimeMs - Date.now()) < 60_000);
  await assert.rejects(take(path), LockBusyError);
  (await take(path, { now: () => Date.now() + 6 * MINUTE * 1000 }))?.release();
  assert.equal(existsSync(lock), false);
});

test("a link that leads nowhere is a lock file as any other, and a directory is never removed", async (t) => {
  const { path, lock } = mbox(t);
  symlinkSync("nowhere", lock);
  await assert.rejects(take(path), LockBusyError);
  assert.ok(lstatSync(lock).isSymbolicLink());
  (await take(path, { now: () => Date.now() + 6 * MINUTE * 1000 }))?.release();
  assert.equal(existsSync(lock), false);
  mkdirSync(lock);
  age(lock, 6 * MINUTE);
  await assert.rejects(take(path), LockBusyError);
  assert.ok(existsSync(lock));
});

test("what has taken our place is neither touched nor removed", async (t) => {
  const { path, lock } = mbox(t);
  const slow = await take(path);
  rmSync(lock);
  writeFileSync(lock, "another's");
  age(lock, MINUTE);
  const there = statSync(lock, { bigint: true });
  slow?.touch();
  assert.equal(statSync(lock, { bigint: true }).mtimeNs, there.mtimeNs);
  slow?.release();
  assert.equal(statSync(lock, { bigint: true }).ino, there.ino);
  assert.equal(readFileSync(lock, "utf8"), "another's");
});

test("what takes our place between the last look and the removal is put back", async (t) => {
  const { path, lock, directory } = mbox(t);
  const slow = await take(path);
  before(t, "renameSync", () => {
    rmSync(lock);
    writeFileSync(lock, "another's");
  });
  slow?.release();
  assert.deepEqual(readdirSync(directory), ["mbox.lock"]);
  assert.equal(readFileSync(lock, "utf8"), "another's");
});

test("touch: whoever judges by age sees that it is still needed", async (t) => {
  const { path, lock } = mbox(t);
  const held = await take(path);
  age(lock, 6 * MINUTE);
  held?.touch();
  assert.ok(Date.now() - statSync(lock).mtimeMs < 60_000);
  held?.release();
});

test("two who find the same stale lock file: the second does not remove the first one's new one", async (t) => {
  const { path, lock, directory } = mbox(t);
  leave(lock);
  let first: Promise<DotLock | null> | undefined;
  const second = take(path, {
    // It has read the stale one, and is held back here.
    started: (pid) => {
      if (pid === process.pid) return 1;
      first ??= take(path);
      return "dead";
    },
  });
  await assert.rejects(second, LockBusyError);
  const held = await first;
  assert.match(readFileSync(lock, "utf8"), new RegExp(`^0\n.*\n${process.pid}\n`));
  held?.release();
  assert.deepEqual(readdirSync(directory), []);
});

test("the same, held back after its last look: what it has moved it puts back", async (t) => {
  const { path, lock, directory } = mbox(t);
  leave(lock);
  let first: Promise<DotLock | null> | undefined;
  before(t, "renameSync", () => {
    first = take(path);
  });
  await assert.rejects(take(path), LockBusyError);
  const held = await first;
  assert.match(readFileSync(lock, "utf8"), new RegExp(`^0\n.*\n${process.pid}\n`));
  held?.release();
  assert.deepEqual(readdirSync(directory), []);
});

test("four processes of which one after another dies with the lock: never have two of them it at once", async (t) => {
  const { path } = mbox(t);
  const args = [CONTENDER, path, "25", String(deadPid())];
  const children = Array.from({ length: 4 }, () =>
    spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] }),
  );
  let said = "";
  for (const { stdout } of children) stdout.on("data", (chunk) => (said += chunk));
  const codes = await Promise.all(children.map(async (child) => (await once(child, "close"))[0]));
  assert.deepEqual(codes, [0, 0, 0, 0]);
  assert.equal(said, "");
});
