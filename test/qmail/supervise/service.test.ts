/** One service with fake programs: sequences of states. */

import assert from "node:assert/strict";
import {
  appendFileSync,
  chmodSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { processInfo } from "../../../qmail/supervise/procfs.ts";
import { Service } from "../../../qmail/supervise/service.ts";

interface Rig {
  readonly service: Service;
  readonly directory: string;
  readonly states: string[];
  /** Resolves when the states seen last are these. */
  seen(...names: string[]): Promise<void>;
}

function rig(
  t: { after(fn: () => void): void },
  run: string,
  files: Record<string, string> = {},
): Rig {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-service-"));
  for (const [name, text] of Object.entries({ ...files, run: `#!/bin/sh\n${run}\n` })) {
    writeFileSync(join(directory, name), text);
  }
  chmodSync(join(directory, "run"), 0o755);
  const fd = openSync("/dev/null", "r+");
  const logFd = openSync(join(directory, "log"), "a");
  const states: string[] = [];
  let look = () => {};
  const service = new Service({
    name: "fake",
    directory,
    inputFd: fd,
    logFd,
    now: () => performance.now(),
    say: (line) => appendFileSync(logFd, `${line}\n`),
    starting() {},
    changed: ({ state }) => {
      states.push(state.name);
      look();
    },
  });
  t.after(() => {
    service.handle("stop");
    try {
      if (service.pid !== null) process.kill(-service.pid, "SIGKILL");
    } catch {
      // Gone.
    }
    rmSync(directory, { recursive: true, force: true });
  });
  const seen = (...names: string[]) =>
    new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`only ${states}`)), 20_000);
      look = () => {
        if (states.slice(-names.length).join() !== names.join()) return;
        clearTimeout(timer);
        resolve();
      };
      look();
    });
  return { service, directory, states, seen };
}

const READY = { "notification-fd": "0\n" };

test("a service that says when it is ready", async (t) => {
  const { service, seen } = rig(t, "exec sleep 60", READY);
  service.handle("start");
  await seen("starting");
  service.handle("ready");
  await seen("up");
  service.handle("stop");
  await seen("stopping", "down");
  assert.equal(service.pid, null);
  assert.equal(service.restarts, 0);
});

test("one that does not counts as up after a while", async (t) => {
  const { service, seen } = rig(t, "exec sleep 60");
  service.handle("start");
  await seen("starting", "up");
});

test("one that dies is started again, the second time after a pause", async (t) => {
  const { service, seen } = rig(t, "echo started; exit 1", READY);
  service.handle("start");
  await seen("starting", "clearing", "waiting", "starting", "clearing", "waiting");
  assert.equal(service.failures, 2);
  assert.equal(service.restarts, 1);
  assert.equal(
    service.state.name === "waiting" && service.state.until - performance.now() > 500,
    true,
  );
  service.handle("stop");
  await seen("waiting", "down");
});

/** Milliseconds that those who lost their first process have to leave. */
const MOMENT_MS = 2000;

test("what the first process leaves is ended before the service starts again, and named", async (t) => {
  // The first life leaves a child that hears nothing and one that is stopped; the second lives.
  const run = `if [ -e again ]; then exec sleep 60; fi
touch again
(trap '' TERM HUP; while :; do sleep 1; done) & echo deaf $!
sleep 61 & kill -STOP $!; echo stopped $!`;
  const { service, directory, seen, states } = rig(t, run, READY);
  service.handle("start");
  await seen("starting", "clearing");
  const log = () => readFileSync(join(directory, "log"), "utf8");
  const pids = [...log().matchAll(/^(?:deaf|stopped) (\d+)$/gm)].map(([, pid]) => Number(pid));
  assert.equal(pids.length, 2);
  assert.ok(pids.every((pid) => processInfo(pid)));
  assert.equal(service.pid, null);
  const began = performance.now();
  await seen("clearing", "waiting", "starting");
  assert.ok(performance.now() - began > MOMENT_MS / 2, "they had a moment");
  assert.deepEqual(pids.map(processInfo), [null, null]);
  assert.match(log(), /^warning: killing what fake, which has ended, has left: .*\(\d+\)/m);
  for (const pid of pids) assert.ok(log().includes(`(${pid})`));
  assert.deepEqual(states, ["starting", "clearing", "waiting", "starting"]);
});

test("what leaves by itself meanwhile is not killed", async (t) => {
  const run = "sleep 1 & [ -e again ] && exec sleep 60; touch again";
  const { service, directory, seen } = rig(t, run, READY);
  service.handle("start");
  await seen("starting", "clearing", "waiting", "starting");
  assert.doesNotMatch(readFileSync(join(directory, "log"), "utf8"), /killing/);
});

test("a stop while it is cleared starts nothing, and ends when all have gone", async (t) => {
  const { service, seen, directory } = rig(t, "sleep 61 & kill -STOP $!; echo $!", READY);
  service.handle("start");
  await seen("starting", "clearing");
  service.handle("stop");
  await seen("clearing", "stopping", "down");
  assert.equal(
    processInfo(Number.parseInt(readFileSync(join(directory, "log"), "utf8"), 10)),
    null,
  );
});

test("one that cannot be started waits as one that dies", async (t) => {
  const { service, directory, seen } = rig(t, "", READY);
  chmodSync(join(directory, "run"), 0o644);
  rmSync(join(directory, "run"));
  service.handle("start");
  await seen("waiting");
  await t.waitFor(() =>
    assert.match(
      readFileSync(join(directory, "log"), "utf8"),
      /^alert: cannot start fake: .*ENOENT\n/,
    ),
  );
  service.handle("stop");
  await seen("down");
});

test("one that will not end is killed with all that it has started", async (t) => {
  const { service, directory, seen } = rig(t, "trap '' TERM; echo on; sleep 60 & wait; wait", {
    ...READY,
    "timeout-kill": "300\n",
  });
  service.handle("start");
  await t.waitFor(() => assert.equal(readFileSync(join(directory, "log"), "utf8"), "on\n"));
  service.handle("stop");
  await seen("stopping", "down");
});

test("a paused one is known as such, and can be stopped", async (t) => {
  const { service, seen } = rig(t, "exec sleep 60", READY);
  assert.equal(service.signal("SIGSTOP"), false);
  service.handle("start");
  assert.equal(service.signal("SIGSTOP"), true);
  assert.equal(service.paused, true);
  service.handle("stop");
  await seen("stopping", "down");
  assert.equal(service.paused, false);
});
