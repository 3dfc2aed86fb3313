/** What a worker has of its spawner's: not its log, and no way to be debugged. */

import assert from "node:assert/strict";
import { openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { listeningOf, statusField } from "../../_processes.ts";
import { LspawnProcess, QmailHome } from "./_lspawn.ts";

/** Makes every worker say `text` so many times when it starts. */
function saying(text: string, times = 1): NodeJS.ProcessEnv {
  const script = `if (process.argv.includes("--worker")) process.stderr.write(${JSON.stringify(text)}.repeat(${times}));`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(script)}` };
}

/** A qmail-lspawn with a log that its workers could read if they had it, and one worker. */
async function withWorker(
  env: NodeJS.ProcessEnv,
  action: (worker: number, lspawn: LspawnProcess) => void | Promise<void>,
): Promise<string> {
  using home = new QmailHome();
  home.write("alias/.qmail-joe", "|true\n");
  const log = join(home.path, "log");
  {
    await using lspawn = new LspawnProcess(home.path, "./Mailbox", env, {
      log: openSync(log, "a+"),
    });
    assert.equal(await lspawn.deliver("joe@local.test"), "Kdid 0+0+1\n");
    const [worker, ...others] = lspawn.workers();
    assert.deepEqual(others, []);
    await action(worker as number, lspawn);
  }
  return readFileSync(log, "latin1");
}

test("a worker has neither the log nor anything else of qmail-lspawn's but its link and a pipe", async () => {
  await withWorker({}, (worker) => {
    const fds = readdirSync(`/proc/${worker}/fd`).map(Number);
    const open = fds
      .toSorted((a, b) => a - b)
      .map((fd) => [fd, readlinkSync(`/proc/${worker}/fd/${fd}`)] as const);
    // What it has made itself has no name.
    const named = open.filter(
      ([, what]) => /^\/(?!dev\/null$)/.test(what) && !/\(deleted\)$/.test(what),
    );
    assert.deepEqual(named, []);
    const first = open.slice(0, 4).map(([, what]) => what.replace(/\d+/, "N"));
    assert.deepEqual(first, ["/dev/null", "/dev/null", "socket:[N]", "socket:[N]"]);
  });
});

test("what a worker says is told with its name, in clean lines", async () => {
  const said = await withWorker(saying("\x1b[2Jalert: cannot start\nnew msg 4711\n"), () => {});
  const who = `qmail-local uid ${process.getuid?.()}: `;
  assert.equal(said, `${who}?[2Jalert: cannot start\n${who}new msg 4711\n`);
});

test("a worker that says much too much does its work, and the log stays small", async () => {
  const said = await withWorker(saying("x\n", 500_000), () => {});
  // 30 at once, and one for each second.
  assert.ok(said.split("\n").length < 100);
});

test("no signal has a worker listen for a debugger", async () => {
  await withWorker({}, async (worker, lspawn) => {
    const caught = BigInt(`0x${statusField(worker, "SigCgt")}`);
    assert.equal((caught >> 9n) & 1n, 0n, "SIGUSR1 is caught");
    process.kill(worker, "SIGUSR1");
    assert.equal(await lspawn.deliver("joe@local.test"), "Kdid 0+0+1\n");
    assert.deepEqual(lspawn.workers(), [worker]);
    assert.deepEqual(listeningOf(worker), []);
  });
});
