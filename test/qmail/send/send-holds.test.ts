/** qmail-send with a spawner that asks for pauses: SPAWN.hold and SPAWN.free. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessId } from "../../../qmail/queue/fmtqfn.ts";
import { networkQueue } from "../../../qmail/queue/network-queue.ts";
import { SPAWN } from "../../../qmail/spawn/protocol.ts";
import { checkQueue, type Order, SendRig } from "./_send.ts";

/** Takes `count` orders in any order, by recipient. */
async function take(rig: SendRig, count: number): Promise<Map<string, Order>> {
  const orders = new Map<string, Order>();
  while (orders.size < count) {
    const order = await rig.order();
    assert.ok(!orders.has(order.recipient), `${order.recipient} is asked for twice`);
    orders.set(order.recipient, order);
  }
  return orders;
}

/** What was sent to qmail-send before this has come, since a delivery that went in behind it comes out. */
async function barrier(rig: SendRig, name: string): Promise<void> {
  await rig.put("a@from.test", [`${name}@barrier.test`]);
  const order = await rig.order();
  assert.equal(order.recipient, `${name}@barrier.test`);
  order.report("Kfine\n");
  await ended(rig, order.messid);
}

/** Its files may stay a while longer, for the next message. */
async function ended(rig: SendRig, id: string): Promise<void> {
  await rig.line(new RegExp(`^end msg ${id}$`));
}

test("straight messages for a held domain wait without a line in the log and come back in order", async () => {
  await using rig = new SendRig();
  await rig.start();
  const link = rig.link("remote");
  link.send(SPAWN.hold, 0, "Far.test");
  await barrier(rig, "held");
  for (const name of ["one", "two", "three"]) await rig.put("a@from.test", [`${name}@FAR.test`]);
  await barrier(rig, "meanwhile");
  assert.deepEqual(
    rig.lines.filter((line) => /FAR\.test|deferral/.test(line)),
    [],
  );
  link.send(SPAWN.free, 0, "far.TEST");
  for (const name of ["one", "two", "three"]) {
    const order = await rig.order();
    assert.equal(order.recipient, `${name}@FAR.test`);
    order.report("Kfine\n");
    await ended(rig, order.messid);
  }
  await rig.stop();
  checkQueue(rig.queue);
});

test("of a message with files the recipients of a held domain are passed over and come when it is free", async () => {
  await using rig = new SendRig();
  const id = rig.made({
    sender: "a@from.test",
    remote: ["Ta@slow.test", "Tb@fast.test", "Tc@slow.test", "Dd@slow.test", "Te@late.test"],
    birth: Math.floor(Date.now() / 1000),
  });
  rig.launch();
  // Before the doors open, so before anything is tried.
  rig.link("remote").send(SPAWN.hold, 0, "slow.test");
  for (const channel of ["local", "remote"] as const) rig.hello(channel);
  const first = await take(rig, 2);
  assert.deepEqual([...first.keys()], ["b@fast.test", "e@late.test"]);
  first.get("b@fast.test")?.report("Kfine\n");
  first.get("e@late.test")?.report("Znot now\n");
  await rig.line(/deferral: not_now/);
  await barrier(rig, "meanwhile");
  assert.equal(
    rig.read("remote", id),
    "Ta@slow.test\0Db@fast.test\0Tc@slow.test\0Dd@slow.test\0Te@late.test\0",
  );
  rig.link("remote").send(SPAWN.free, 0, "slow.test");
  // Those that waited, and not the one that was deferred: that has its time.
  const second = await take(rig, 2);
  assert.deepEqual([...second.keys()], ["a@slow.test", "c@slow.test"]);
  for (const order of second.values()) order.report("Kfine\n");
  await rig.until(() => /^D.*D.*D.*D.*Te@late.test\0$/s.test(rig.read("remote", id)), "the marks");
  await barrier(rig, "after");
  await rig.alarm();
  const last = await rig.order();
  assert.equal(last.recipient, "e@late.test");
  last.report("Kfine\n");
  await rig.gone(id);
  await rig.stop();
  checkQueue(rig.queue);
});

test("many messages with files for one held domain: others pass, all come at the free, none twice", async () => {
  const MESSAGES = 300;
  await using rig = new SendRig({ concurrencyremote: "5\n" });
  const birth = Math.floor(Date.now() / 1000);
  const slow = Array.from({ length: MESSAGES }, (_, at) =>
    rig.made({ sender: "a@from.test", remote: [`T${at}@slow.test`], birth, retry: birth - 100 }),
  );
  const other = rig.made({ sender: "a@from.test", remote: ["Tx@fast.test"], birth, retry: birth });
  rig.launch();
  const link = rig.link("remote");
  link.send(SPAWN.hold, 0, "slow.test");
  for (const channel of ["local", "remote"] as const) rig.hello(channel);
  const passed = await rig.order();
  assert.equal(passed.recipient, "x@fast.test");
  passed.report("Kfine\n");
  await rig.gone(other);
  link.send(SPAWN.free, 0, "slow.test");
  const seen = new Set<string>();
  for (let at = 0; at < MESSAGES; at++) {
    const order = await rig.order();
    assert.ok(!seen.has(order.recipient), `${order.recipient} came twice`);
    seen.add(order.recipient);
    // Held and freed in between, as a spawner does whose places are few.
    if (at % 50 === 0) for (const type of [SPAWN.hold, SPAWN.free]) link.send(type, 0, "slow.test");
    order.report("Kfine\n");
  }
  for (const id of slow) await rig.gone(id);
  await rig.stop();
  assert.deepEqual(
    rig.lines.filter((line) => /deferral|warning/.test(line)),
    [],
  );
});

test("a straight message with a recipient done and one held is written down; SIGALRM frees it", async () => {
  await using rig = new SendRig();
  await rig.start();
  rig.link("remote").send(SPAWN.hold, 0, "far.test");
  await barrier(rig, "held");
  await rig.put("a@from.test", ["joe@near.test", "ann@far.test"]);
  const near = await rig.order();
  assert.equal(near.recipient, "joe@near.test");
  near.report("Kfine\n");
  const id = near.messid;
  await rig.until(() => !rig.exists("todo", id), "the settling");
  assert.equal(rig.read("remote", id), "Djoe@near.test\0Tann@far.test\0");
  await barrier(rig, "meanwhile");
  assert.deepEqual(rig.flushed, []);
  await rig.alarm();
  const far = await rig.order();
  assert.equal(far.recipient, "ann@far.test");
  // What qmail-remote knows against a host must not keep it from being tried.
  assert.equal(rig.flushed[0], "");
  far.report("Kfine\n");
  await rig.gone(id);
});

test("what waits for a held domain is written down after a while, and comes when it is free", async () => {
  await using rig = new SendRig();
  await rig.start();
  rig.link("remote").send(SPAWN.hold, 0, "far.test");
  await barrier(rig, "held");
  const before = rig.lines.length;
  await rig.put("a@from.test", ["joe@far.test"]);
  const id = (await rig.line(/^new msg /, before)).slice("new msg ".length);
  await rig.until(() => !rig.exists("todo", id), "the settling");
  assert.equal(rig.read("remote", id), "Tjoe@far.test\0");
  await barrier(rig, "meanwhile");
  rig.link("remote").send(SPAWN.free, 0, "far.test");
  const order = await rig.order();
  assert.equal(order.recipient, "joe@far.test");
  order.report("Kfine\n");
  await rig.gone(id);
  await rig.stop();
  checkQueue(rig.queue);
});

test("in a flood what is deferred stays in todo until there is time; SIGALRM tries it, a stop leaves it there", async () => {
  await using rig = new SendRig({ concurrencyremote: "2000\n" });
  await rig.start();
  let dead = true;
  const tries: MessId[] = [];
  rig.spawner = ({ recipient, messid, report }) => {
    const isFar = recipient === "joe@far.test";
    if (isFar) tries.push(messid);
    report(isFar && dead ? "Znot now\n" : "Kfine\n");
  };
  const queue = networkQueue(rig.home);
  await queue.connect();
  const put = (recipient: string) => {
    const message = queue.open();
    message.put(Buffer.from("body\n"));
    return message.close("a@from.test", [recipient]);
  };
  const id = () => tries[0] ?? "";
  const assertUnwritten = () => {
    assert.deepEqual([rig.exists("todo", id()), rig.exists("remote", id())], [true, false]);
  };
  let flooding = true;
  const floods = Array.from({ length: 40 }, async () => {
    while (flooding && (await put("x@near.test")).ok);
  });
  try {
    // The flood is known for one when it has gone on for a whole second.
    const count = () => rig.lines.filter((line) => line.startsWith("end msg ")).length;
    await rig.until(() => count() > 1000, "the flood");
    await new Promise((resolve) => setTimeout(resolve, 2000));
    await put("joe@far.test");
    await rig.until(() => tries.length > 0, "the first try");
    // Much longer than writing down takes.
    await new Promise((resolve) => setTimeout(resolve, 3000));
    assertUnwritten();
    await rig.alarm(() => tries.length > 1);
    assertUnwritten();
    assert.equal(await rig.stop(), 0);
    assertUnwritten();
  } finally {
    flooding = false;
    queue.end();
    await Promise.all(floods);
  }
  dead = false;
  await rig.start();
  await rig.gone(id());
});

test("what waits for a held domain at the end is in the queue, due at once", async () => {
  await using rig = new SendRig();
  await rig.start();
  rig.link("remote").send(SPAWN.hold, 0, "far.test");
  await barrier(rig, "held");
  await rig.put("a@from.test", ["straight@far.test"]);
  await rig.put(
    "a@from.test",
    Array.from({ length: 5 }, (_, at) => `filed${at}@far.test`),
  );
  await rig.until(() => rig.messages() === 2, "both messages");
  await barrier(rig, "meanwhile");
  assert.equal(await rig.stop(), 0);
  checkQueue(rig.queue);
  await rig.start();
  const orders = await take(rig, 6);
  for (const order of orders.values()) order.report("Kfine\n");
  await rig.until(() => rig.messages() === 0, "an empty queue");
});
