/** qmail-send before spawners and askers that keep to no rule. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { formatUint32 } from "../../../qmail/net/frames.ts";
import { ActionClient } from "../../../qmail/send/action-client.ts";
import { ASK, FROM_ASKER, SEND_SOCKET } from "../../../qmail/send/action-protocol.ts";
import { FROM_SPAWNER, SPAWN } from "../../../qmail/spawn/protocol.ts";
import { peakMemory } from "../_process.ts";
import { rawFrame, rogueFrames } from "../net/_frames.ts";
import { SendRig } from "./_send.ts";

const MIB = 1024 * 1024;

/** What ends the link to a spawner. */
const REFUSED: readonly (readonly [string, Buffer])[] = [
  ["hello without a number", rawFrame(SPAWN.hello.type, 0)],
  ["hello twice", rawFrame(SPAWN.hello.type, 0, formatUint32(10))],
  ["a report of nothing", rawFrame(SPAWN.report.type, 77, "K")],
  ["a report of a megabyte", rawFrame(SPAWN.report.type, 0, Buffer.alloc(MIB, "K"))],
  ["waits and neither", rawFrame(SPAWN.waits.type, 0, "x")],
  ["what only qmail-send says", rawFrame(SPAWN.deliver.type, 0, "1\x001\x00\x00a@b\x00")],
  ["a frame that is nobody's", rawFrame(99, 0)],
  ["half a frame of a gigabyte", rawFrame(SPAWN.hold.type, 0, "x", 2 ** 30)],
];

for (const [what, bytes] of REFUSED) {
  test(`a spawner that says ${what} counts as gone: qmail-send leaves in order`, async () => {
    await using rig = new SendRig();
    await rig.start();
    await rig.put("", ["joe@mail.test"]);
    const order = await rig.order();
    rig.say("remote", bytes);
    await rig.line(/^alert: oh no! lost spawn connection! dying\.\.\.$/);
    // What is under way on the other channel comes to its end.
    order.report("K\n");
    assert.equal(await rig.exit(), 111);
    assert.equal(rig.lines.at(-1), "status: exiting");
    assert.equal(rig.errors, "");
  });
}

test("whatever a spawner says, qmail-send does not fall over it", async () => {
  const types = Object.values(FROM_SPAWNER).map(({ type }) => type);
  for (let seed = 0; seed < 8; seed++) {
    await using rig = new SendRig();
    await rig.start();
    rig.say("remote", rogueFrames(seed, types, 2000));
    assert.equal(await rig.exit(), 111, `seed ${seed}`);
    assert.equal(rig.errors, "", `seed ${seed}`);
  }
});

test("a spawner is told how many deliveries take slots", async () => {
  await using rig = new SendRig({ concurrencylocal: "7\n" });
  await rig.start();
  await rig.until(() => rig.limits.size === 2, "both told");
  assert.deepEqual([...rig.limits].sort(), [
    ["local", 7],
    ["remote", 20],
  ]);
});

test("20,000 domains of all lengths that a spawner holds are bounded, and can be told of", async () => {
  await using rig = new SendRig();
  await rig.start();
  const [send] = rig.processes() as [number];
  for (let at = 0; at < 20_000; at++) {
    rig.link("remote").send(SPAWN.hold, 0, `${at}.${"x".repeat(SPAWN.hold.max - 8)}`);
    if (rig.link("remote").full) await rig.link("remote").drained();
  }
  await rig.put("", ["joe@mail.test"]);
  await rig.order();
  const client = (await ActionClient.connect(rig.home)) as ActionClient;
  const status = await client.status();
  assert.equal(status.channels.remote.heldDomains.count, 10_000);
  client.close();
  assert.ok(peakMemory(send) < 400 * MIB, `${peakMemory(send)} bytes`);
});

test("a recipient that is too long for an order fails, and qmail-send lives", async () => {
  await using rig = new SendRig();
  await rig.start();
  const id = rig.todo("", [`${"x".repeat(100_000)}@mail.test`, "joe@mail.test"]);
  rig.pull();
  const orders = [await rig.order(), await rig.order()];
  assert.deepEqual(orders.map(({ recipient }) => recipient).sort(), ["", "joe@mail.test"]);
  for (const order of orders) order.report("D\n");
  await rig.gone(id);
});

test("whatever an asker says, and however little he reads, qmail-send lives and answers others", async () => {
  await using rig = new SendRig();
  await rig.start();
  const [send] = rig.processes() as [number];
  const come = async (): Promise<Socket> => {
    const socket = connect(join(rig.home, SEND_SOCKET));
    socket.on("error", () => {});
    await once(socket, "connect");
    return socket;
  };
  const types = Object.values(FROM_ASKER).map(({ type }) => type);
  const sockets: Socket[] = [];
  for (let seed = 0; seed < 20; seed++) {
    const socket = await come();
    sockets.push(socket);
    socket.write(rogueFrames(seed, types));
  }
  const values = ["null", "[]", "1", '{"action":{"type":"__proto__"}}', '{"action":null}'];
  for (const value of values) {
    const socket = await come();
    sockets.push(socket);
    socket.write(rawFrame(ASK.act.type, 1, value));
    socket.resume();
    await once(socket, "close");
  }
  const unread = await come();
  sockets.push(unread);
  for (let at = 0; at < 100; at++) {
    const asked = Array.from({ length: 1000 }, (_, id) => rawFrame(ASK.status.type, id));
    unread.write(Buffer.concat(asked));
  }
  const client = (await ActionClient.connect(rig.home)) as ActionClient;
  const status = await client.status();
  assert.equal(status.pid, send);
  client.close();
  for (const socket of sockets) socket.destroy();
  assert.ok(peakMemory(send) < 300 * MIB, `${peakMemory(send)} bytes`);
});
