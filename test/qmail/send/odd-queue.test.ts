/** qmail-send in a queue where things lie that belong to no message. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { SendRig } from "./_send.ts";

test("a plain file as trigger, directories of big-todo and a FIFO in todo: mail goes on, and they are named", async () => {
  await using rig = new SendRig();
  const todo = join(rig.queue, "todo");
  for (let split = 0; split < 23; split++) mkdirSync(join(todo, String(split)));
  assert.equal(spawnSync("mkfifo", [join(todo, "99")]).status, 0);
  rmSync(join(rig.queue, "lock/trigger"));
  writeFileSync(join(rig.queue, "lock/trigger"), "");
  const old = rig.todo("a@from.test", ["old@mail.test"]);
  await rig.start();
  const order = await rig.order();
  assert.equal(order.recipient, "old@mail.test");
  order.report("Kdone\n");
  await rig.gone(old);
  await rig.put("a@from.test", ["new@mail.test"]);
  const next = await rig.order();
  assert.equal(next.recipient, "new@mail.test");
  next.report("Kdone\n");
  await rig.line(/^warning: trouble reading todo\/99: it is a FIFO$/);
  await rig.line(/^warning: trouble reading todo\/22: it is a directory$/);
  await rig.line(/^alert: lock\/trigger is no FIFO of ours: .*qmailctl queue check$/);
  assert.equal(await rig.stop(), 0);
  assert.equal(rig.lines.filter((line) => line.includes("todo/99")).length, 1);
});
