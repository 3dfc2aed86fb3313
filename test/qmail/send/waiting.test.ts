/** Deliveries that wait for something of their own user's take no slot of others. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Link } from "../../../qmail/net/link.ts";
import { Deliveries } from "../../../qmail/send/delivery.ts";
import { parseLogLine } from "../../../qmail/send/log.ts";
import { type Order, SendRig } from "./_send.ts";

const LOCKED = 40;

/** What is used of the local channel, in each status line. */
function used(rig: SendRig) {
  const lines = rig.lines.map((line) => parseLogLine(line));
  return lines.filter((line) => line.type === "status").map(({ local }) => local);
}

for (const kind of ["new", "old"] as const) {
  test(`${LOCKED} ${kind} messages for who is locked up, ten slots: others have their mail`, async () => {
    await using rig = new SendRig({ concurrencylocal: "10\n" });
    const stuck: Order[] = [];
    const delivered: string[] = [];
    let goesOn = false;
    rig.spawner = (order) => {
      if (order.recipient.startsWith("locked@") && !goesOn) {
        stuck.push(order);
        order.waits(true);
      } else {
        delivered.push(order.recipient);
        if (!goesOn) order.report("K\n");
      }
    };
    const recipient = "locked@mail.test";
    if (kind === "old") {
      for (let at = 0; at < LOCKED; at++)
        rig.made({ sender: "", local: [`T${recipient}`], retry: 1 });
    }
    await rig.start();
    if (kind === "new") for (let at = 0; at < LOCKED; at++) await rig.put("", [recipient]);
    await rig.until(() => stuck.length === LOCKED, "all that wait");
    await rig.put("", ["free@mail.test"]);
    await rig.until(() => delivered.length === 1, "the other's mail");
    assert.ok(used(rig).every(({ used, limit }) => used <= limit));
    await rig.line(new RegExp(`^status: local ${LOCKED}/${LOCKED + 10} remote 0/`));
    // They go on: until there is a slot again nothing is begun.
    goesOn = true;
    for (const order of stuck) order.waits(false);
    await rig.put("", ["late@mail.test"]);
    const late = () => delivered.length === 2;
    for (const order of stuck.slice(0, LOCKED - 10)) order.report("K\n");
    await rig.line(/^status: local 10\/10 /, rig.lines.length);
    assert.equal(late(), false);
    for (const order of stuck.slice(LOCKED - 10)) order.report("K\n");
    await rig.until(late, "the next");
    assert.ok(used(rig).every(({ used, limit }) => used <= limit));
  });
}

test("at a stop both spawners are told, and a report of who waited is taken", async () => {
  await using rig = new SendRig();
  await rig.start();
  await rig.put("", ["locked@mail.test"]);
  const order = await rig.order();
  order.waits(true);
  rig.signal("SIGTERM");
  await rig.until(() => rig.left.length === 2, "both told");
  assert.deepEqual([...rig.left].sort(), ["local", "remote"]);
  order.report("Zlocked\n");
  assert.equal(await rig.exit(), 0);
});

test("more than a thousand that wait take slots as all others", () => {
  const lines: string[] = [];
  const deliveries = new Deliveries((line) => lines.push(line), Date.now);
  deliveries.connect("local", { send() {} } as unknown as Link, 10);
  let begun = 0;
  const done = () => {};
  while (deliveries.available("local") && begun < 5000) {
    deliveries.start("local", {
      id: "1",
      made: 1,
      sender: "",
      recipient: "a@b",
      dying: false,
      done,
    });
    deliveries.waits("local", begun++, true);
  }
  assert.equal(begun, 1010);
  assert.deepEqual(deliveries.use("local"), { used: 1010, limit: 1010 });
  // Said twice, and of what is not there.
  deliveries.waits("local", 0, true);
  deliveries.waits("local", 5000, true);
  deliveries.waits("local", 5000, false);
  for (let at = 0; at < 1010; at++) deliveries.report("local", at, "K");
  assert.deepEqual(deliveries.use("local"), { used: 0, limit: 10 });
});
