import assert from "node:assert/strict";
import { test } from "node:test";
import { Holds } from "../../../qmail/send/holds.ts";
import type { RewriteTables } from "../../../qmail/send/rewrite.ts";
import {
  type StraightDelivery,
  type StraightMessage,
  StraightQueue,
  settlement,
} from "../../../qmail/send/straight.ts";

const FAR = "far.test";

function message(id: string, recipients: readonly string[]): StraightMessage {
  return {
    id,
    made: 1,
    sender: "me@near.test",
    birth: 1000,
    recipients: recipients.map((address) => ({ channel: "remote", address })),
    states: recipients.map(() => "waiting"),
    bounce: "",
  };
}

function setUp() {
  const holds = { local: new Holds<StraightDelivery>(), remote: new Holds<StraightDelivery>() };
  const settled: StraightMessage[] = [];
  const tables = { virtualdomains: new Map() } as unknown as RewriteTables;
  const straight: StraightQueue = new StraightQueue({
    tables: () => tables,
    holds,
    settle(message) {
      settled.push(message);
      straight.forget(message.id);
    },
  });
  const next = (now = 1000) => straight.next("remote", now) as StraightDelivery;
  const finish = (status: "K" | "Z" | "D", now = 1000) =>
    straight.finished(next(now), { status, text: "so it went\n", now });
  return { holds: holds.remote, settled, straight, next, finish };
}

test("what is to be done when the last recipient is", () => {
  const { straight, finish } = setUp();
  const ends: Record<string, string> = {};
  for (const statuses of ["K", "D", "Z", "KK", "KD", "KZ", "ZD", "DD"]) {
    const recipients = [...statuses].map((_, at) => `${at}@${FAR}`);
    straight.accept(message(statuses, recipients));
    const nexts = [...statuses].map((status) => finish(status as "K"));
    ends[statuses] = nexts.pop() ?? "";
    assert.ok(nexts.every((each) => each === "open"));
    straight.forget(statuses);
  }
  assert.deepEqual(ends, {
    K: "end",
    D: "bounce",
    Z: "settle",
    KK: "end",
    KD: "bounce",
    KZ: "settle",
    ZD: "settle",
    DD: "bounce",
  });
});

test("what waits for a held domain is overdue after its time, and leaves nothing behind when it is written down", () => {
  const { holds, straight, next } = setUp();
  holds.hold(FAR);
  for (const id of ["1", "2"]) straight.accept(message(id, [`joe@${FAR}`]));
  assert.equal(straight.parkedSince, Infinity);
  assert.equal(next(1007), undefined);
  straight.accept(message("3", [`joe@${FAR}`]));
  assert.equal(next(1008), undefined);
  assert.deepEqual([straight.parkedSince, holds.straightCount], [1007, 3]);
  assert.equal(straight.overdue(1006), undefined);
  assert.equal(straight.overdue(1007)?.id, "1");
  straight.forget("1");
  straight.forget("2");
  assert.deepEqual([straight.parkedSince, holds.straightCount], [1008, 1]);
  holds.freeAll();
  assert.equal(next().message.id, "3");
  assert.equal(straight.parkedSince, Infinity);
  assert.equal(next(), undefined);
});

test("a message of which something is done does not wait for a held domain", () => {
  const { holds, settled, straight, finish, next } = setUp();
  holds.hold(FAR);
  straight.accept(message("1", ["ann@near.test", `joe@${FAR}`]));
  const ann = next();
  assert.equal(next(), undefined);
  assert.deepEqual(settled, []);
  assert.equal(straight.overdue(2000), undefined, "something is under way");
  assert.equal(straight.finished(ann, { status: "K", text: "", now: 1000 }), "settle");
  straight.forget("1");
  straight.accept(message("2", ["ann@near.test", `joe@${FAR}`]));
  assert.equal(finish("K"), "open", "the other is not looked at yet");
  assert.equal(next(), undefined);
  assert.deepEqual(
    settled.map(({ id }) => id),
    ["2"],
  );
  assert.equal(holds.straightCount, 0);
});

test("a deferred message may be parked while nothing of it is done; its next try counts from the last", () => {
  const { straight, finish } = setUp();
  const fresh = message("1", [`joe@${FAR}`]);
  straight.accept(fresh);
  assert.equal(finish("Z", 1001), "settle");
  assert.ok(straight.mayPark(fresh));
  straight.parkDeferred(fresh, 1001);
  assert.ok(straight.isDeferred("1"));
  assert.equal(straight.overdue(1001), fresh);
  assert.deepEqual(settlement(fresh, 1061).retry.remote, settlement(fresh, 1001).retry.remote);
  assert.deepEqual(straight.begun(), [], "it is whole in todo");

  for (const status of ["K", "D"] as const) {
    const begun = message(status, [`joe@${FAR}`, `ann@${FAR}`]);
    straight.accept(begun);
    finish(status);
    assert.equal(finish("Z"), "settle");
    assert.ok(!straight.mayPark(begun));
    assert.deepEqual(straight.begun(), [begun]);
    straight.forget(status);
  }
});

test("retryAll tries parked messages again; one that is withdrawn is written down at once", () => {
  const { settled, straight, finish, next } = setUp();
  for (const id of ["1", "2"]) {
    const parked = message(id, [`joe@${FAR}`]);
    straight.accept(parked);
    finish("Z");
    straight.parkDeferred(parked, 1000);
  }
  void straight.withdraw("1");
  assert.deepEqual(
    settled.map(({ id }) => id),
    ["1"],
  );
  straight.retryAll();
  const again = next();
  assert.equal(again.message.id, "2");
  assert.equal(next(), undefined);
  assert.ok(!straight.isDeferred("2"));
  assert.equal(straight.finished(again, { status: "K", text: "", now: 1000 }), "end");
});

test("so many may be parked, and they take no room from others", () => {
  const { holds, straight, next } = setUp();
  holds.hold(FAR);
  let taken = 0;
  while (straight.accept(message(String(taken), [`joe@${FAR}`]))) {
    taken++;
    assert.equal(next(), undefined);
    assert.ok(taken <= 20_000);
  }
  assert.equal(taken, 20_000);
  assert.ok(straight.accept(message("other", ["ann@near.test"])));
  assert.equal(next().message.id, "other");
});
