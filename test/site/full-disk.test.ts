/** A full disk and the death of every process in turn: nothing ends for good, and status tells what is so. */

import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { processInfo } from "../../qmail/supervise/procfs.ts";
import { cannotMount, mountSmall } from "./_mount.ts";
import { pidsIn, pidsOf, titleOf } from "./_processes.ts";
import { arrived, makeSite, run, type Site, smtp, smtpMessage, until } from "./_site.ts";

/** What is refused at MAIL while little is free is another test's. */
async function install(site: Site): Promise<void> {
  await site.ok("install");
  writeFileSync(join(site.home, "control/minfree"), "0\n");
}

const DAEMONS = [
  "qmail-lspawn",
  "qmail-rspawn",
  "qmail-queue",
  "splogger",
  "qmail-send",
  "qmail-smtpd",
  "multilog",
  "qmail-keeper",
  "qmail-supervise",
  "qmail-supervise",
];
/** What the supervisor has for itself. */
const OTHERS = /supervise|^multilog|^qmail-keeper|^sleep|^flock|^mkfifo/;

/** A second of grace on a machine that is busy with other tests; the long form is run where there are none. */
const BACK_MS = process.env.QMAILCTL_TEST_LONG ? 5000 : 60_000;

interface Status {
  readonly running: boolean;
  readonly supervisor?: number;
  readonly services: readonly {
    readonly name: string;
    readonly state?: string;
    readonly processes: readonly { readonly pid: number }[];
  }[];
}

/** What status says, compared with the processes there are before and after it: who lives throughout is in it, and nobody who does not live. */
async function trueStatus(site: Site): Promise<Status> {
  const daemons = () =>
    pidsIn(site.home).filter((pid) => !OTHERS.test(processInfo(pid)?.title ?? "sleep"));
  const before = daemons();
  const { stdout, stderr } = await site.ctl("status", "--json");
  const status: Status = JSON.parse(stdout || `"${stderr}"`);
  const after = daemons();
  const told = status.services.flatMap(({ processes }) => processes.map(({ pid }) => pid));
  for (const pid of before) {
    if (after.includes(pid))
      assert.ok(told.includes(pid), `${pid} runs, and status does not say it`);
  }
  if (status.running) {
    for (const { name, state, processes } of status.services) {
      assert.ok(state !== "up" || processes.length > 0, `${name} is said to be up`);
    }
  }
  return status;
}

async function allUp(site: Site): Promise<boolean> {
  const { running, services } = await trueStatus(site);
  return running && services.every(({ state }) => state === "up");
}

async function fill(site: Site): Promise<void> {
  const { stderr } = await run("dd", ["if=/dev/zero", `of=${site.home}/fill`, "bs=1k"]);
  assert.match(stderr, /No space left/);
}

async function accepted(site: Site, text: string): Promise<boolean> {
  const lines = smtpMessage("", "you@mail.example.test", text);
  const answers = await smtp(site.port, lines).catch(() => []);
  return /^250 /.test(answers[5] ?? "");
}

test("a full disk, then every process killed in turn, the supervisor twice: mail comes in when there is room", {
  skip: cannotMount(),
}, async (t) => {
  await using site = await makeSite();
  await using _disk = await mountSmall(site, "3m");
  await install(site);
  await site.ok("start");
  await fill(site);
  for (const title of DAEMONS) {
    // Successors need a moment; the logs may have freed a block.
    await until(() => pidsOf(site, title).length > 0, `${title} runs`);
    const [pid] = pidsOf(site, title);
    process.kill(pid as number, "SIGKILL");
    await until(() => pidsOf(site, title).some((each) => each !== pid), `${title} is back`);
    await trueStatus(site);
  }
  await until(() => allUp(site), "all of it runs on a full disk");
  assert.ok(
    pidsIn(site.home).some((pid) => titleOf(processInfo(pid) ?? { title: "" }) === "qmail-keeper"),
  );

  rmSync(join(site.home, "fill"));
  const began = performance.now();
  await until(() => accepted(site, "room"), "mail is accepted");
  await arrived(join(site.home, "alias/you/Maildir/new"), 1);
  const took = performance.now() - began;
  t.diagnostic(`mail came in ${Math.round(took)} ms after there was room`);
  assert.ok(took < BACK_MS, `${took} ms`);
  await until(
    async () => (await site.ctl("status")).code === 0,
    "status has nothing to complain of",
  );
});

test("a full disk, and the supervisor killed with its successors while there is no room", {
  skip: cannotMount(),
}, async () => {
  await using site = await makeSite();
  await using _disk = await mountSmall(site, "3m");
  await install(site);
  await site.ok("start");
  await fill(site);
  for (let round = 0; round < 3; round++) {
    // All of them at once, but for the keeper.
    for (const pid of pidsIn(site.home)) {
      if (!pidsOf(site, "qmail-keeper").includes(pid)) kill(pid);
    }
    await until(() => allUp(site), "all of it is back");
  }
  assert.match(await site.ok("stop"), /is stopped/);
  assert.deepEqual(pidsIn(site.home), []);
  assert.equal((await site.ctl("status")).code, 3);
  // Nothing is needed from the disk to start, either.
  assert.equal((await site.ctl("start")).code, 0);
  rmSync(join(site.home, "fill"));
  await until(() => accepted(site, "room"), "mail is accepted");
});

test("logs that a full disk does not take: status tells it, and the log how many lines are missing", {
  skip: cannotMount(),
}, async () => {
  await using site = await makeSite();
  await using _disk = await mountSmall(site, "3m");
  await install(site);
  await site.ok("start");
  await fill(site);
  await until(async () => {
    for (let count = 0; count < 20; count++) await smtp(site.port, ["QUIT"]);
    const { code, stdout } = await site.ctl("status");
    return code === 111 && /The logs cannot be written: ENOSPC/.test(stdout);
  }, "status tells it");
  rmSync(join(site.home, "fill"));
  await until(
    () =>
      /^@\w+ multilog: warning: \d+ lines were lost: ENOSPC.*$/m.test(logOf(site, "qmail-smtpd")),
    "the log says what is missing",
  );
  await until(async () => (await site.ctl("status")).code === 0, "status is content");
  // Every line is whole.
  assert.match(logOf(site, "qmail-smtpd"), /^(?:@\w{24} [^@]*\n)*$/);
});

function logOf(site: Site, service: string): string {
  return readFileSync(join(site.home, "log", service, "current"), "latin1");
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has just gone.
  }
}
