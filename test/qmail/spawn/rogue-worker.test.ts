/**
 * Workers that have become their users' own: whatever one says, root's qmail-lspawn lives, as does qmail-rspawn, its
 * memory is bounded, and others have their mail meanwhile.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { programPath } from "../../../qmail/programs.ts";
import type { Report } from "../../../qmail/spawn/report.ts";
import { WorkerProcess } from "../../../qmail/spawn/worker-process.ts";
import { WORK } from "../../../qmail/spawn/worker-protocol.ts";
import { LspawnProcess, QmailHome } from "./_lspawn.ts";

const PRELOAD = fileURLToPath(new URL("./_rogue-worker.ts", import.meta.url));
const MIB = 1024 * 1024;
const MEMORY_MAX = 300 * MIB;
const SEEDS = 12;

/** Those end the link. */
const REFUSED = [
  "a request without a body",
  "a position that is none",
  "a report of a megabyte",
  "a report that is none",
  "a frame that is nobody's",
  "what only a spawner says",
  "half a frame of a gigabyte",
];
const SAYINGS = [
  ...REFUSED,
  "requests for the message, and no reading",
  ...Array.from({ length: SEEDS }, (_, seed) => String(seed)),
];

/** A home with two users, of whom one may make his worker what he likes. */
class TwoUsers extends QmailHome {
  constructor() {
    super();
    mkdirSync(join(this.path, "homes"));
    const lines = ["good", "bad"].map((name, at) => {
      const home = join(this.path, "homes", name);
      for (const sub of ["new", "cur", "tmp"]) {
        mkdirSync(join(home, "Maildir", sub), { recursive: true });
      }
      return `=${name}:${name}:${4000 + at}:4000:${home}:::\n`;
    });
    this.write("users/assign", `${lines.join("")}.\n`);
    const env = { ...process.env, QMAILHOME: this.path };
    const made = spawnSync(process.execPath, [programPath("users/qmail-newu")], { env });
    assert.equal(made.status, 0);
    this.message(`Subject: long\n\n${"x".repeat(300 * 1024)}\n`);
  }

  /** What its user makes of a worker that is started from now on; null: nothing. */
  rogue(what: string | null): void {
    if (what === null) rmSync(join(this.path, "rogue"), { force: true });
    else this.write("rogue", what);
  }

  get env(): NodeJS.ProcessEnv {
    return { NODE_OPTIONS: `--import ${PRELOAD}`, ROGUE_HOME: this.path };
  }
}

test("whatever a worker says, qmail-lspawn lives, is not much larger, and others have their mail", async () => {
  using home = new TwoUsers();
  await using lspawn = new LspawnProcess(home.path, "./Maildir/", home.env);
  for (const what of SAYINGS) {
    // What came for a worker that was just killed is tried again.
    let report = "";
    for (let tries = 0; tries < 10 && !report.startsWith("K"); tries++) {
      report = await lspawn.deliver("good@local.test");
    }
    assert.match(report, /^K/, what);
    home.rogue(what);
    const bad = lspawn.deliver("bad@local.test");
    const others = Array.from({ length: 3 }, () => lspawn.deliver("good@local.test"));
    for (const report of await Promise.all(others)) assert.match(report, /^K/, what);
    if (REFUSED.includes(what)) assert.equal(await bad, "Zqmail-local crashed.\n", what);
    // One that waits to be read, or has said nothing that counts, holds its own delivery.
    for (const worker of lspawn.workers()) kill(worker);
    assert.match(await bad, /^[KZD]/);
    while (lspawn.workers().length > 0) await new Promise(setImmediate);
    home.rogue(null);
  }
  assert.ok(lspawn.memory() < MEMORY_MAX, `${lspawn.memory()} bytes`);
});

test("whatever qmail-remote says, its spawner's part lives, and starts another", async () => {
  using home = new TwoUsers();
  const crashed: Report = { status: "Z", text: "qmail-remote crashed.\n" };
  const held: string[] = [];
  for (const what of SAYINGS) {
    home.rogue(what);
    const worker = new WorkerProcess(
      {
        program: programPath("remote/qmail-remote"),
        args: ["--worker"],
        env: { PATH: process.env.PATH, QMAILHOME: home.path, ROGUE_HOME: home.path },
        execArgv: ["--import", PRELOAD],
        flow: { hold: (host) => held.push(host), free() {} },
        gone() {},
      },
      crashed,
    );
    const fields = ["1", "far.test", "", "joe@far.test", "1"];
    const open = () => ({ size: 0, inline: Buffer.alloc(0), fd: -1 });
    const report = new Promise<Report>((done) => worker.start(fields, open, { done }));
    if (REFUSED.includes(what)) assert.deepEqual(await report, crashed);
    else worker.end();
    await worker.exited;
    await report;
  }
  assert.ok(held.every((host) => host.length <= WORK.hold.max));
  assert.ok(process.memoryUsage().rss < MEMORY_MAX);
});

test("what qmail-send never says ends its link alone: what is under way is finished, and qmail-lspawn leaves in order", async () => {
  using home = new TwoUsers();
  const sayings = [
    Buffer.from([2, 0, 0, 0, 1, 0, 0, 0, 1, 65]),
    Buffer.from([2, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]),
    Buffer.from([9, 0, 0, 0, 1, 0, 0, 0, 0]),
    Buffer.from([200, 0, 0, 0, 1, 0, 0, 0, 0]),
  ];
  for (const saying of sayings) {
    await using lspawn = new LspawnProcess(home.path, "./Maildir/");
    assert.match(await lspawn.deliver("good@local.test"), /^K/);
    lspawn.say(saying);
    assert.equal(await lspawn.exit(), 0);
  }
});

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    // It has been ended meanwhile.
    assert.equal((error as NodeJS.ErrnoException).code, "ESRCH");
  }
}
