/** Who waits for the locks of an mbox: says so, is written with all others, has patience of his own, and is given up at a stop. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { thisMachine } from "../../../qmail/supervise/machine.ts";
import { Home } from "./_home.ts";

/** Longer than any test takes: whoever waits for so long was not given up. */
const PATIENCE_MS = 600_000;

const SLOW = "File has been locked for 30 seconds straight. (#4.3.0)\n";
const LEAVING = "File is locked, and the mail system is being stopped. (#4.3.0)\n";

/** The lock file of a program that lives. */
function lock(home: Home, name = "box"): void {
  writeFileSync(join(home.path, `${name}.lock`), "0\n");
}

function unlock(home: Home, name = "box"): void {
  rmSync(join(home.path, `${name}.lock`));
}

/** Notes what a delivery says of its waiting, and tells when it has begun to wait. */
function waiter() {
  const said: boolean[] = [];
  const { promise: began, resolve } = Promise.withResolvers<void>();
  const waits = (waiting: boolean) => {
    said.push(waiting);
    resolve();
  };
  return { said, began, waits };
}

async function flocked(path: string): Promise<ChildProcess> {
  const holder = spawn("flock", [path, "sh", "-c", "echo held; read go"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(holder.stdout, "data");
  return holder;
}

test("who waits says so, who joins says so at once, and all go on together", async () => {
  using home = new Home({ patienceMs: PATIENCE_MS });
  lock(home);
  const first = waiter();
  const reports = [home.deliver({ aliasempty: "./box", waits: first.waits })];
  await first.began;
  const others = Array.from({ length: 20 }, waiter);
  for (const { waits } of others) reports.push(home.deliver({ aliasempty: "./box", waits }));
  await Promise.all(others.map(({ began }) => began));
  unlock(home);
  assert.ok((await Promise.all(reports)).every(({ status }) => status === "K"));
  for (const { said } of [first, ...others]) assert.deepEqual(said, [true, false]);
  assert.equal(readFileSync(join(home.path, "box"), "latin1").match(/^From /gm)?.length, 21);
  assert.deepEqual(readdirSync(home.path), ["box"]);
});

test("the same where the other lock is another's", async () => {
  using home = new Home({ patienceMs: PATIENCE_MS });
  home.write("box", "");
  const holder = await flocked(join(home.path, "box"));
  const { said, began, waits } = waiter();
  const report = home.deliver({ aliasempty: "./box", waits });
  await began;
  holder.stdin?.end("go\n");
  assert.equal((await report).status, "K");
  assert.deepEqual(said, [true, false]);
  assert.deepEqual(readdirSync(home.path), ["box"]);
});

test("who delivers to a Maildir or a free mbox waits for nobody", async () => {
  using home = new Home({ patienceMs: PATIENCE_MS });
  lock(home);
  home.maildir("in");
  const stuck = waiter();
  const waiting = home.deliver({ aliasempty: "./box", waits: stuck.waits });
  await stuck.began;
  assert.equal((await home.deliver({ aliasempty: "./in/\n./other" })).status, "K");
  unlock(home);
  assert.equal((await waiting).status, "K");
});

test("everybody is patient for as long, from when he came", async () => {
  using home = new Home({ patienceMs: 400 });
  lock(home);
  const began = performance.now();
  const ends: number[] = [];
  const deliver = async () => {
    const came = performance.now();
    const report = await home.deliver({ aliasempty: "./box" });
    assert.deepEqual(report, { status: "Z", text: SLOW });
    ends.push(performance.now());
    assert.ok(performance.now() - came >= 399);
  };
  const first = deliver();
  await new Promise((resolve) => setTimeout(resolve, 200));
  await Promise.all([first, deliver()]);
  assert.ok((ends[1] as number) - began >= 599);
  assert.deepEqual(readdirSync(home.path).sort(), ["box", "box.lock"]);
});

test("patience goes by no clock that can be set", async (t) => {
  using home = new Home({ patienceMs: 300 });
  lock(home);
  const stuck = waiter();
  const report = home.deliver({ aliasempty: "./box", waits: stuck.waits });
  await stuck.began;
  const day = 24 * 60 * 60 * 1000;
  const real = Date.now;
  t.mock.method(Date, "now", () => real() - day);
  assert.deepEqual(await report, { status: "Z", text: SLOW });
});

for (const other of ["lock file", "flock"]) {
  test(`at a stop who waits for another's ${other} is given up, and what can be delivered is`, async () => {
    using home = new Home({ patienceMs: PATIENCE_MS });
    home.write("box", "");
    const holder = other === "flock" ? await flocked(join(home.path, "box")) : null;
    if (!holder) lock(home);
    const stuck = waiter();
    const reports = [home.deliver({ aliasempty: "./box", waits: stuck.waits })];
    await stuck.began;
    home.mboxes.leave();
    reports.push(home.deliver({ aliasempty: "./box" }));
    for (const report of reports) assert.deepEqual(await report, { status: "Z", text: LEAVING });
    assert.equal((await home.deliver({ aliasempty: "./free" })).status, "K");
    holder?.kill();
    assert.equal(readFileSync(join(home.path, "box"), "latin1"), "");
    assert.equal(existsSync(join(home.path, "box.lock")), !holder);
  });
}

test("before the first line is done the locks of later lines are waited for", async () => {
  using home = new Home({ patienceMs: PATIENCE_MS });
  home.maildir("in");
  home.write(".qmail", "./in/\n|echo once >>ran\n./box\n./other\n");
  lock(home);
  lock(home, "other");
  const { began, waits } = waiter();
  const report = home.deliver({ waits });
  await began;
  assert.deepEqual(home.new("in"), []);
  assert.equal(existsSync(join(home.path, "ran")), false);
  // Who only looks makes no mbox.
  assert.equal(existsSync(join(home.path, "box")), false);
  unlock(home);
  unlock(home, "other");
  assert.equal((await report).text, "did 3+0+1\n");
  assert.equal(home.new("in").length, 1);
});

test("when they stay locked nothing was done", async () => {
  using home = new Home({ patienceMs: 100 });
  home.maildir("in");
  home.write(".qmail", "./in/\n|echo once >>ran\n./box\n");
  lock(home);
  for (let tries = 0; tries < 3; tries++) {
    assert.deepEqual(await home.deliver(), { status: "Z", text: SLOW });
  }
  assert.deepEqual(home.new("in"), []);
  assert.equal(existsSync(join(home.path, "ran")), false);
});

test("an mbox that cannot be opened is its own line's affair", async () => {
  using home = new Home({ patienceMs: PATIENCE_MS });
  home.write(".qmail", "|exit 100\n./\n./no/such/directory/box\n");
  assert.equal((await home.deliver()).status, "D");
});

test("a power cut with 20 mboxes under way: all are delivered without a wait, and no line twice", async () => {
  // What ext4 leaves: the lock files, linked and never synced, and the beginnings of entries.
  const bootedAt = Date.now() - 10_000;
  const machine = {
    host: thisMachine().host,
    boot: "another",
    now: Date.now,
    bootedAt: () => bootedAt,
    started: (pid: number) => thisMachine().started(pid),
    alone: () => true,
  };
  const homes = Array.from({ length: 20 }, () => new Home({ machine }));
  try {
    for (const [at, home] of homes.entries()) {
      home.maildir("in");
      home.write(".qmail", "./in/\n|echo once >>ran\n./box\n");
      home.write("box", "From a@b x\n\nwhole\n\nFrom a@b x\nSubject: cut o", 0o600);
      writeFileSync(join(home.path, "box.lock"), at % 2 === 0 ? "" : "\0".repeat(40));
      home.age("box.lock", 20);
    }
    const text = "Subject: x\n\nafter the cut\n";
    const reports = await Promise.all(homes.map((home) => home.deliver({ text })));
    for (const report of reports) assert.deepEqual(report, { status: "K", text: "did 2+0+1\n" });
    for (const home of homes) {
      assert.equal(home.new("in").length, 1);
      assert.equal(readFileSync(join(home.path, "ran"), "latin1"), "once\n");
      const box = readFileSync(join(home.path, "box"), "latin1");
      assert.match(
        box,
        /^From .*\n\nwhole\n\nFrom .*\nSubject: cut o\n\nFrom .*\n(.+\n)+\nafter the cut\n\n$/,
      );
      assert.equal(existsSync(join(home.path, "box.lock")), false);
    }
  } finally {
    for (const home of homes) home[Symbol.dispose]();
  }
});
