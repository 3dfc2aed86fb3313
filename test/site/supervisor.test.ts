/** What nobody may take away from start, stop and status: a death of the supervisor, a stop where it stands, all at once. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { groupMembers, processInfo } from "../../qmail/supervise/procfs.ts";
import { pidsIn, pidsOf } from "./_processes.ts";
import { arrived, makeSite, type Site, smtp, smtpMessage, until } from "./_site.ts";

async function running(): Promise<Site> {
  const site = await makeSite();
  await site.ok("install");
  await site.ok("start");
  return site;
}

interface Status {
  readonly running: boolean;
  readonly supervisor?: number;
  readonly logs?: { readonly pid: number; readonly silent: number };
  readonly trouble: readonly string[];
  readonly services: readonly {
    readonly name: string;
    readonly state?: string;
    readonly processes: readonly { readonly pid: number }[];
  }[];
}

async function statusOf(site: Site): Promise<Status> {
  return JSON.parse((await site.ctl("status", "--json")).stdout);
}

function pidsOfStatus({ services }: Status): number[] {
  return services.flatMap(({ processes }) => processes.map(({ pid }) => pid));
}

async function delivers(site: Site, count: number): Promise<void> {
  const maildir = join(site.home, "alias/you/Maildir/new");
  const lines = smtpMessage("", "you@mail.example.test", `message ${count}`);
  await until(async () => {
    const answers = await smtp(site.port, lines).catch(() => []);
    return /^250 /.test(answers[5] ?? "");
  }, "a message is accepted");
  await arrived(maildir, count);
}

/** SIGKILLs the supervisor `pid`, and its successors as soon as they are there, `successors` of them. */
async function killLine(site: Site, pid: number, successors: number): Promise<void> {
  const killed = new Set<number>();
  const kill = (victim: number) => {
    process.kill(victim, "SIGKILL");
    killed.add(victim);
  };
  kill(pid);
  while (killed.size <= successors) {
    await until(() => {
      const next = pidsIn(site.home).find((each) => {
        // Its name while it is loaded, and then; the keeper's shell has it in its own arguments.
        const title = processInfo(each)?.title ?? "";
        const named = /supervise\/supervise|^qmail-supervise/.test(title);
        return named && !/^qmail-keeper/.test(title) && !killed.has(each);
      });
      if (next !== undefined) kill(next);
      return next !== undefined;
    }, `successor ${killed.size} comes`);
  }
}

test("the supervisor and its successors killed before they have done anything: another comes; stop is the end", async () => {
  await using site = await running();
  const { supervisor } = await statusOf(site);
  await killLine(site, supervisor as number, 3);
  await until(async () => (await statusOf(site)).running, "a supervisor is back");
  await delivers(site, 1);
  // What a successor starts is known as what the first has started.
  for (const title of ["qmail-send", "qmail-queue", "qmail-lspawn", "splogger", "qmail-smtpd"]) {
    const [pid] = pidsOf(site, title);
    assert.ok(pidsOfStatus(await statusOf(site)).includes(pid as number), title);
  }

  const again = (await statusOf(site)).supervisor as number;
  await killLine(site, again, 1);
  assert.match(await site.ok("stop"), /is stopped/);
  await until(() => pidsIn(site.home).length === 0, "nothing is left");
  await sleep(2500);
  assert.deepEqual(pidsIn(site.home), [], "nothing has come back");
});

test("a stop whose supervisor is killed in the middle stays a stop", async () => {
  await using site = await running();
  const { supervisor } = await statusOf(site);
  const [send] = pidsOf(site, "qmail-send");
  // It cannot end before it is killed, after a minute.
  const [lspawn] = pidsOf(site, "qmail-lspawn");
  process.kill(lspawn as number, "SIGSTOP");
  const stopping = site.ctl("stop");
  await until(() => pidsOf(site, "qmail-smtpd").length === 0, "the door is closed");
  process.kill(supervisor as number, "SIGKILL");
  const { code, stdout } = await stopping;
  assert.equal(code, 0);
  assert.match(stdout, /is stopped/);
  assert.equal(processInfo(send as number), null);
  await sleep(2500);
  assert.deepEqual(pidsIn(site.home), []);
});

test("a supervisor that hangs: status and start say so, stop ends all", async () => {
  await using site = await running();
  const { supervisor } = await statusOf(site);
  const daemons = pidsOfStatus(await statusOf(site));
  process.kill(supervisor as number, "SIGSTOP");
  const status = await site.ctl("status");
  assert.equal(status.code, 111);
  assert.match(status.stdout, new RegExp(`does not answer \\(pid ${supervisor}\\)`));
  for (const pid of daemons) assert.match(status.stdout, new RegExp(`\\b${pid}\\b`));
  assert.match((await site.ctl("start")).stderr, /does not answer[\s\S]*qmailctl stop/);
  assert.match(await site.ok("stop"), /is stopped/);
  await until(() => pidsIn(site.home).length === 0, "nothing is left");
});

test("one daemon that is left, stopped where it stands, without any record: status shows it, start ends it", async () => {
  await using site = await running();
  const [queue] = pidsOf(site, "qmail-queue");
  process.kill(queue as number, "SIGSTOP");
  for (const pid of pidsIn(site.home)) if (pid !== queue) process.kill(pid, "SIGKILL");
  await until(() => pidsIn(site.home).length === 1, "one is left");
  const { code, stdout } = await site.ctl("status");
  assert.equal(code, 3);
  assert.match(stdout, /its services still run/);
  assert.match(stdout, new RegExp(`qmail-send \\(not supervised\\) .*\\b${queue}\\b`));
  assert.match(await site.ok("start"), new RegExp(`was left by a supervisor.*${queue}`));
  assert.equal(processInfo(queue as number), null);
  await delivers(site, 1);
});

test("what is left of a service whose first process has died is ended before the next begins", async () => {
  await using site = await running();
  const [send] = pidsOf(site, "qmail-send");
  const stopped = ["qmail-lspawn", "qmail-queue"].map((title) => pidsOf(site, title)[0] as number);
  for (const pid of stopped) process.kill(pid, "SIGSTOP");
  process.kill(send as number, "SIGKILL");
  await until(async () => {
    const { services, trouble } = await statusOf(site);
    const left = services[0]?.processes.map(({ pid }) => pid) ?? [];
    return (
      services[0]?.state === "clearing" &&
      stopped.every((pid) => left.includes(pid)) &&
      /qmail-send has died/.test(trouble.join())
    );
  }, "status shows what is waited for");
  await until(() => pidsOf(site, "qmail-send").length === 1, "the next one begins");
  assert.deepEqual(groupMembers(new Set([send as number])), []);
  await delivers(site, 1);
  const log = readFileSync(join(site.home, "log/qmail-send/current"), "latin1");
  const said = /supervise: warning: killing what qmail-send, which has ended, has left: (.*)/.exec(
    log,
  );
  for (const pid of stopped) assert.match(said?.[1] ?? "", new RegExp(`\\(${pid}\\)`));
});

test("a writer of logs that hangs is told, and replaced; no line is lost", async () => {
  await using site = await running();
  const { logs } = await statusOf(site);
  const writer = logs?.pid as number;
  process.kill(writer, "SIGSTOP");
  await delivers(site, 1);
  await until(async () => {
    const { code, stdout } = await site.ctl("status");
    return code === 111 && /writer of the logs has not answered for/.test(stdout);
  }, "status tells it");
  await delivers(site, 2);
  const log = () => readFileSync(join(site.home, "log/qmail-send/current"), "latin1");
  await until(
    () => /supervise: warning: the writer of the logs did not answer for \d+ seconds/.test(log()),
    "it works again",
  );
  await until(async () => (await site.ctl("status")).code === 0, "status is content");
  assert.notEqual((await statusOf(site)).logs?.pid, writer);
  assert.equal(processInfo(writer), null);
  await delivers(site, 3);
  await until(() => log().split("end msg ").length === 4, "all three are in the log");
});

/** So many times all are killed; the long form has what a night may bring. */
const ROUNDS = process.env.QMAILCTL_TEST_LONG ? 200 : 10;

test(`${ROUNDS} kills of all at once while they are being started: start, stop and status know what is left`, async (t) => {
  await using site = await makeSite();
  await site.ok("install");
  let left = 0;
  let survivors = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const starting = site.ctl("start");
    // The supervisor is there, and then anything may be.
    await until(() => pidsIn(site.home).length > 0, "something begins");
    await sleep(Math.random() * 700);
    for (const pid of pidsIn(site.home)) kill(pid);
    await starting;
    // Who is left, and does not leave by itself because its link has ended, is known.
    let unknown: readonly string[] = [];
    await until(async () => {
      const known = pidsOfStatus(await statusOf(site));
      const titles = pidsIn(site.home)
        .filter((pid) => !known.includes(pid))
        .map((pid) => processInfo(pid)?.title ?? "");
      // A supervisor and what it starts for itself come and go; they are what knows, or leave.
      unknown = titles.filter((title) => !/supervise|keeper|service-logs|^multilog/.test(title));
      return unknown.length === 0;
    }, `unknown: ${unknown.join()}`);
    const daemons = pidsOfStatus(await statusOf(site));
    if (daemons.length > 0) left++;
    survivors += daemons.length;
    if (round % 2 === 0) {
      assert.equal((await site.ctl("stop")).code, 0);
      assert.deepEqual(
        pidsIn(site.home).map((pid) => processInfo(pid)?.title),
        [],
        `round ${round}`,
      );
    } else {
      await site.ok("start");
      const greeting = await smtp(site.port, ["QUIT"]);
      assert.match(greeting[0] ?? "", /^220 /);
    }
  }
  t.diagnostic(`${ROUNDS} kills, after ${left} of them daemons were left, ${survivors} together`);
  await delivers(site, 1);
});

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has just gone.
  }
}
