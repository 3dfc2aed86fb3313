import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { thisMachine } from "../../../qmail/supervise/machine.ts";
import { processInfo } from "../../../qmail/supervise/procfs.ts";

test("processes: when they began; dead when they have gone, and when nobody has waited for them", async () => {
  const machine = thisMachine();
  assert.equal(machine.started(process.pid), processInfo(process.pid)?.startTicks);
  // Its child is dead, and it does not wait for it.
  const parent = spawn("sh", ["-c", "true & echo $!; read go"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [text] = await once(parent.stdout, "data");
  const child = Number(text);
  while (machine.started(child) !== "dead") await new Promise(setImmediate);
  const gone = once(parent, "exit");
  parent.stdin.end();
  await gone;
  assert.equal(machine.started(parent.pid as number), "dead");
});

test("the boot: before everything here, and what was reckoned once moves with no clock that is set ahead", (t) => {
  const machine = thisMachine();
  const before = machine.bootedAt();
  const [up] = readFileSync("/proc/uptime", "latin1").split(" ");
  assert.ok(before <= Date.now() - Number(up) * 1000 + 1000);
  const real = Date.now;
  t.mock.method(Date, "now", () => real() + 3_600_000);
  assert.equal(machine.bootedAt(), before);
  t.mock.method(Date, "now", () => real() - 3_600_000);
  assert.ok(machine.bootedAt() < before - 3_500_000);
});

test("files that another host may have made: not known of what is no directory", () => {
  assert.equal(thisMachine().alone("/proc/self/nothing/here/mbox"), false);
  assert.equal(thisMachine().alone("/proc/mbox"), false);
});
