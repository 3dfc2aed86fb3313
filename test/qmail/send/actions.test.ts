/** Actions on messages of a running qmail-send: what becomes of files, deliveries, bounces and log. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Action } from "../../../qmail/send/action.ts";
import { SPAWN } from "../../../qmail/spawn/protocol.ts";
import { act, connectTo, target } from "./_actions.ts";
import { checkQueue, SendRig } from "./_send.ts";

const NOW = () => Math.floor(Date.now() / 1000);
const LATER = () => NOW() + 5000;

/** A message that waits. */
function waiting(rig: SendRig, remote: readonly string[], local?: readonly string[]) {
  const birth = NOW() - 100;
  const message = { sender: "a@from.test", remote, birth, retry: LATER() };
  return rig.made(local ? { ...message, local } : message);
}

test("delete: the message ends without a bounce, and its line is in the log", async () => {
  await using rig = new SendRig();
  const id = rig.made({
    sender: "a@from.test",
    remote: ["Done@far.test", "Ttwo@far.test", "Tthree@far.test"],
    bounce: "<one@far.test>:\nno\n\n",
    birth: NOW(),
    retry: LATER(),
  });
  await rig.start();
  const client = await connectTo(rig);
  assert.deepEqual(await act(client, { type: "delete" }, { targets: [target(rig, id)] }), [
    { id, outcome: "done", recipients: 2, untold: 1 },
  ]);
  for (const directory of ["mess", "info", "remote", "bounce"] as const) {
    assert.ok(!rig.exists(directory, id), directory);
  }
  await rig.stop();
  assert.deepEqual(
    rig.lines.filter((line) => !line.startsWith("status")),
    [`action delete: msg ${id} recipients 2`, `end msg ${id}`],
  );
  checkQueue(rig.queue);
});

test("another message with the same id is not touched, nor one that is not there", async () => {
  await using rig = new SendRig();
  const id = waiting(rig, ["Tone@far.test"]);
  await rig.start();
  const client = await connectTo(rig);
  const { made } = target(rig, id);
  const answers = await act(
    client,
    { type: "delete" },
    {
      targets: [
        { id, made: made - 1 },
        { id: "987654321", made },
      ],
    },
  );
  assert.deepEqual(answers, [
    { id, outcome: "gone" },
    { id: "987654321", outcome: "gone" },
  ]);
  assert.equal(rig.read("remote", id), "Tone@far.test\0");
});

test("delete waits for the delivery that is under way, and begins no other", async () => {
  await using rig = new SendRig({ concurrencyremote: "1\n" });
  const id = rig.made({
    sender: "a@from.test",
    remote: ["Tone@far.test", "Ttwo@far.test"],
    birth: NOW(),
    retry: 5,
  });
  await rig.start();
  const order = await rig.order();
  const client = await connectTo(rig);
  const deleted = act(client, { type: "delete" }, { targets: [target(rig, id)] });
  // Behind the request on the same socket.
  await client.status();
  order.report("Kfine\n");
  assert.deepEqual(await deleted, [{ id, outcome: "done", recipients: 1, untold: 0 }]);
  assert.equal(rig.orders, 0);
  await rig.stop();
  checkQueue(rig.queue);
});

test("an action that may not wait long enough is told busy, and the message goes on", async () => {
  await using rig = new SendRig();
  const id = rig.made({
    sender: "a@from.test",
    remote: ["Tone@far.test"],
    birth: NOW(),
    retry: 5,
  });
  await rig.start();
  const order = await rig.order();
  const client = await connectTo(rig);
  const targets = [target(rig, id)];
  assert.deepEqual(await act(client, { type: "delete" }, { targets, wait: 0 }), [
    { id, outcome: "busy" },
  ]);
  order.report("Zlater\n");
  await rig.line(/deferral/);
  assert.equal(rig.read("remote", id), "Tone@far.test\0");
  await rig.alarm();
  (await rig.order()).report("Kfine\n");
  await rig.gone(id);
});

test("a message in memory is written down first, and waits for what is under way of it", async () => {
  await using rig = new SendRig();
  await rig.start();
  await rig.put("a@from.test", ["one@far.test", "two@mail.test"]);
  const orders = [await rig.order(), await rig.order()];
  const id = orders[0]?.messid ?? "";
  const client = await connectTo(rig);
  const action: Action = { type: "bounce", text: "Not today.\n" };
  const bounced = act(client, action, { targets: [target(rig, id)] });
  await client.status();
  for (const { recipient, report } of orders) {
    report(recipient === "one@far.test" ? "Zlater\n" : "Kfine\n");
  }
  assert.deepEqual(await bounced, [{ id, outcome: "done", recipients: 1 }]);
  const bounce = await rig.order();
  assert.equal(bounce.recipient, "a@from.test");
  assert.match(rig.read("mess", bounce.messid), /\n<one@far\.test>:\nNot today\.\n\n---/);
  bounce.report("Kfine\n");
  await rig.stop();
  assert.ok(rig.lines.includes(`action bounce: msg ${id} recipients 1`));
  checkQueue(rig.queue);
});

test("bounce of some recipients: the others go on", async () => {
  await using rig = new SendRig({ virtualdomains: "virtual.test:virt\n" });
  const id = waiting(rig, ["Tone@far.test", "Ttwo@far.test"], ["Tvirt-joe@virtual.test"]);
  await rig.start();
  const client = await connectTo(rig);
  const targets = [target(rig, id, ["two@far.test", "joe@virtual.test"])];
  assert.deepEqual(await act(client, { type: "bounce", text: "No.\n" }, { targets }), [
    { id, outcome: "done", recipients: 2 },
  ]);
  assert.equal(rig.read("remote", id), "Tone@far.test\0Dtwo@far.test\0");
  assert.ok(!rig.exists("local", id));
  assert.equal(rig.read("bounce", id), "<joe@virtual.test>:\nNo.\n\n<two@far.test>:\nNo.\n\n");
  await rig.alarm();
  (await rig.order()).report("Kfine\n");
  const bounce = await rig.order();
  assert.equal(bounce.recipient, "a@from.test");
  bounce.report("Kfine\n");
  await rig.stop();
  checkQueue(rig.queue);
});

test("hold: not tried at its time, nor at SIGALRM, nor after a restart; release puts it back", async () => {
  await using rig = new SendRig();
  const id = waiting(rig, ["Tone@far.test"], ["Ttwo@mail.test"]);
  const other = waiting(rig, ["Tother@far.test"]);
  await rig.start();
  let client = await connectTo(rig);
  const targets = [target(rig, id)];
  assert.deepEqual(await act(client, { type: "hold" }, { targets }), [
    { id, outcome: "done", recipients: 2 },
  ]);
  assert.deepEqual(await act(client, { type: "retry" }, { targets }), [
    { id, outcome: "refused", reason: "it is held: release it first" },
  ]);
  await rig.alarm();
  const order = await rig.order();
  assert.equal(order.messid, other);
  order.report("Zlater\n");
  await rig.line(/deferral/);
  assert.equal((await client.status()).channels.remote.held, 1);
  await rig.stop();
  checkQueue(rig.queue);
  await rig.start();
  client = await connectTo(rig);
  await rig.alarm();
  const again = await rig.order();
  assert.equal(again.messid, other);
  again.report("Kfine\n");
  assert.deepEqual(await act(client, { type: "release" }, { targets }), [
    { id, outcome: "done", recipients: 2 },
  ]);
  assert.deepEqual(await act(client, { type: "release" }, { targets }), [
    { id, outcome: "refused", reason: "it is not held" },
  ]);
  await act(client, { type: "retry" }, { targets });
  const last = [await rig.order(), await rig.order()];
  assert.deepEqual(last.map(({ recipient }) => recipient).sort(), [
    "one@far.test",
    "two@mail.test",
  ]);
  for (const { report } of last) report("Kfine\n");
  await rig.gone(id);
  await rig.stop();
  assert.equal(readFileSync(join(rig.home, "held/messages"), "latin1").includes("+"), true);
  checkQueue(rig.queue);
});

test("hold during a delivery is done at once for the rest", async () => {
  await using rig = new SendRig({ concurrencyremote: "1\n" });
  const id = rig.made({
    sender: "a@from.test",
    remote: ["Tone@far.test", "Ttwo@far.test"],
    birth: NOW(),
    retry: 5,
  });
  await rig.start();
  const order = await rig.order();
  const client = await connectTo(rig);
  await act(client, { type: "hold" }, { targets: [target(rig, id)] });
  order.report("Kfine\n");
  await rig.until(() => rig.read("remote", id).startsWith("D"), "the mark");
  assert.equal((await client.status()).channels.remote.held, 1);
  assert.equal(rig.orders, 0);
  await act(client, { type: "release" }, { targets: [target(rig, id)] });
  (await rig.order()).report("Kfine\n");
  await rig.gone(id);
});

test("a held message that has ended is not held when its number comes again", async () => {
  await using rig = new SendRig();
  const id = waiting(rig, ["Tone@far.test"]);
  await rig.start();
  const client = await connectTo(rig);
  await act(client, { type: "hold" }, { targets: [target(rig, id)] });
  await act(client, { type: "delete" }, { targets: [target(rig, id)] });
  await rig.stop();
  assert.doesNotMatch(readFileSync(join(rig.home, "held/messages"), "latin1").slice(-30), /^\+/m);
  await rig.start();
  assert.equal(readFileSync(join(rig.home, "held/messages"), "latin1").includes("-"), true);
});

test("redirect: to one address, to another domain; the channel is that of the new address", async () => {
  await using rig = new SendRig({ virtualdomains: "virtual.test:virt\n" });
  const id = waiting(rig, ["Tone@far.test", "Ttwo@far.test", "Dthree@far.test"]);
  await rig.start();
  const client = await connectTo(rig);
  const to = (address: string, recipients?: readonly string[]) =>
    act(client, { type: "redirect", to: address }, { targets: [target(rig, id, recipients)] });
  assert.deepEqual(await to("joe@virtual.test", ["two@far.test"]), [
    { id, outcome: "done", recipients: 1 },
  ]);
  assert.equal(rig.read("remote", id), "Tone@far.test\0Dtwo@far.test\0Dthree@far.test\0");
  assert.equal(rig.read("local", id), "Tvirt-joe@virtual.test\0");
  const local = await rig.order();
  assert.equal(local.recipient, "virt-joe@virtual.test");
  local.report("Kfine\n");
  await rig.until(() => !rig.exists("local", id), "the end of local");
  assert.deepEqual(await to("@near.test"), [{ id, outcome: "done", recipients: 1 }]);
  assert.equal(
    rig.read("remote", id),
    "Done@far.test\0Dtwo@far.test\0Dthree@far.test\0Tone@near.test\0",
  );
  const remote = await rig.order();
  assert.equal(remote.recipient, "one@near.test");
  remote.report("Kfine\n");
  await rig.gone(id);
  await rig.stop();
  assert.deepEqual(
    rig.lines.filter((line) => line.startsWith("action")),
    [
      `action redirect: msg ${id} from remote two@far.test to local virt-joe@virtual.test`,
      `action redirect: msg ${id} from remote one@far.test to remote one@near.test`,
    ],
  );
  checkQueue(rig.queue);
});

test("expire: tried once more, and the next failure is final", async () => {
  await using rig = new SendRig({ queuelifetime: "1000\n" });
  const id = waiting(rig, ["Tone@far.test"]);
  await rig.start();
  const client = await connectTo(rig);
  await act(client, { type: "expire" }, { targets: [target(rig, id)] });
  (await rig.order()).report("Zlater\n");
  await rig.line(/failure: later.*I'm_not_going_to_try_again/);
  const bounce = await rig.order();
  assert.equal(bounce.recipient, "a@from.test");
  bounce.report("Kfine\n");
});

test("retry: due now, and what is known against its domains is forgotten", async () => {
  await using rig = new SendRig();
  const id = waiting(rig, ["Tone@far.test", "Ttwo@FAR.test", "Tthree@near.test"]);
  const other = waiting(rig, ["Tother@far.test"]);
  await rig.start();
  const client = await connectTo(rig);
  await act(client, { type: "retry" }, { targets: [target(rig, id)] });
  for (let left = 3; left > 0; left--) {
    const order = await rig.order();
    assert.equal(order.messid, id);
    order.report("Kfine\n");
  }
  assert.deepEqual(rig.flushed.toSorted(), ["far.test", "near.test"]);
  assert.ok(rig.exists("remote", other));
  await client.flush();
  const order = await rig.order();
  assert.equal(order.messid, other);
  order.report("Kfine\n");
});

test("status says what is under way", async () => {
  await using rig = new SendRig({ concurrencyremote: "7\n" });
  await rig.start();
  await rig.put("a@from.test", ["one@far.test"]);
  const order = await rig.order();
  const client = await connectTo(rig);
  const { read, channels, deliveries, straight } = await client.status();
  assert.deepEqual([read, straight], [true, 1]);
  assert.deepEqual([channels.remote.used, channels.remote.limit], [1, 7]);
  const [delivery] = deliveries;
  assert.deepEqual(
    [delivery?.id, delivery?.channel, delivery?.recipient],
    [order.messid, "remote", "one@far.test"],
  );
  order.report("Kfine\n");
});

test("status says what waits for a domain, in memory and written down; retry has it tried", async () => {
  await using rig = new SendRig();
  await rig.start();
  rig.link("remote").send(SPAWN.hold, 0, "far.test");
  const client = await connectTo(rig);
  const remote = async () => (await client.status()).channels.remote;
  while ((await remote()).heldDomains.count === 0);
  const before = rig.lines.length;
  await rig.put("a@from.test", ["one@far.test"]);
  const id = (await rig.line(/^new msg /, before)).slice("new msg ".length);
  while ((await remote()).waitingForDomain === 0);
  await rig.until(() => !rig.exists("todo", id), "the settling");
  while ((await remote()).waitingForDomain === 0);
  assert.deepEqual([(await remote()).waitingForDomain, (await client.status()).straight], [1, 0]);
  await act(client, { type: "retry" }, { targets: [target(rig, id)] });
  const order = await rig.order();
  assert.equal(order.messid, id);
  order.report("Kfine\n");
  await rig.gone(id);
});

test("at the end everybody has an answer", async () => {
  await using rig = new SendRig();
  const id = rig.made({ sender: "", remote: ["Tone@far.test"], birth: NOW(), retry: 5 });
  await rig.start();
  const order = await rig.order();
  const client = await connectTo(rig);
  const deleted = act(client, { type: "delete" }, { targets: [target(rig, id)] });
  await client.status();
  const stopped = rig.stop();
  await rig.line(/exitasap|status/);
  setTimeout(() => order.report("Zlater\n"), 200);
  const [answer] = await deleted;
  assert.ok(answer?.outcome === "busy" || answer?.outcome === "done", JSON.stringify(answer));
  await stopped;
  assert.equal(existsSync(rig.path("mess", id)), answer?.outcome === "busy");
});

test("many at once: in files, in todo, and deliveries go on between", async () => {
  await using rig = new SendRig({ concurrencyremote: "0\n" });
  const ids = Array.from({ length: 1000 }, (_, at) => waiting(rig, [`Tr${at}@far.test`]));
  await rig.start();
  for (let at = 0; at < 300; at++) ids.push(rig.todo("", [`r${at}@far.test`]));
  const client = await connectTo(rig);
  const targets = ids.map((id) => target(rig, id));
  const deleted = act(client, { type: "delete" }, { targets });
  await rig.put("a@from.test", ["one@mail.test"]);
  (await rig.order()).report("Kfine\n");
  await rig.line(/^end msg/);
  const answers = await deleted;
  assert.equal(answers.length, ids.length);
  for (const { outcome } of answers) assert.equal(outcome, "done");
  await rig.stop();
  assert.equal(rig.messages(), 0);
  checkQueue(rig.queue);
});
