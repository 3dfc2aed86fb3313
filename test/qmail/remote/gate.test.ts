import assert from "node:assert/strict";
import { test } from "node:test";
import { Gate, type GateLimits } from "../../../qmail/remote/gate.ts";

const MINUTE = 60_000;

/** A gate, a clock that stands still, and what became of each who wanted in. */
function gate(limits: Partial<GateLimits> = {}) {
  const world = { ms: 1_000_000, timers: [] as { at: number; action: () => void }[] };
  const it = new Gate(
    { concurrency: 2, rate: null, ...limits },
    {
      now: () => world.ms,
      after: (ms, action) => void world.timers.push({ at: world.ms + ms, action }),
    },
  );
  const seen: string[] = [];
  const want = (name: string) =>
    void it.acquire().then((admission) => seen.push(`${name} ${admission}`));
  /** Lets time pass, and everything that was promised happen. */
  const pass = async (ms: number) => {
    world.ms += ms;
    for (const timer of world.timers.splice(0)) {
      if (timer.at <= world.ms) timer.action();
      else world.timers.push(timer);
    }
    await new Promise(setImmediate);
    return seen.splice(0);
  };
  return { it, want, pass };
}

test("who has not answered yet gets one at once, who has gets more each time", async () => {
  const { it, want, pass } = gate({ concurrency: 4 });
  assert.equal(it.full, false);
  want("a");
  assert.equal(it.full, true);
  for (const name of ["b", "c", "d", "e", "f"]) want(name);
  assert.deepEqual(await pass(0), ["a go"]);
  it.succeeded();
  assert.deepEqual(await pass(0), ["b go", "c go"]);
  it.succeeded();
  it.succeeded();
  assert.deepEqual(await pass(0), ["d go"]);
  assert.equal(it.full, false);
});

test("so many as the limit says are inside, the others wait in order", async () => {
  const { it, want, pass } = gate();
  it.succeeded();
  for (const name of ["a", "b", "c", "d"]) want(name);
  assert.deepEqual(await pass(0), ["a go", "b go"]);
  it.leave();
  assert.deepEqual(await pass(0), ["c go"]);
  it.limits = { concurrency: 1, rate: null };
  it.leave();
  assert.deepEqual(await pass(0), []);
  it.leave();
  assert.deepEqual(await pass(0), ["d go"]);
});

test("a failure sends all away, for a minute, then two, four, up to an hour", async () => {
  const { it, want, pass } = gate({ concurrency: 1 });
  want("first");
  want("waits");
  assert.deepEqual(await pass(0), ["first go"]);
  it.failed();
  it.leave();
  assert.deepEqual(await pass(0), ["waits down"]);
  for (const minutes of [1, 2, 4, 8, 16, 32, 60, 60]) {
    want("early");
    assert.deepEqual(await pass(minutes * MINUTE - 1), ["early down"]);
    await pass(1);
    want("probe");
    want("another");
    assert.deepEqual(await pass(0), ["another down", "probe go"].sort().reverse());
    it.failed();
    it.leave();
  }
});

test("who finds it alive opens it for all", async () => {
  const { it, want, pass } = gate();
  want("a");
  await pass(0);
  it.failed();
  it.leave();
  await pass(MINUTE);
  want("probe");
  assert.deepEqual(await pass(0), ["probe go"]);
  it.succeeded();
  want("b");
  assert.deepEqual(await pass(0), ["b go"]);
  it.leave();
  it.leave();
  assert.equal(it.forgettable, true);
});

test("those who fail together are one failure", async () => {
  const { it, want, pass } = gate();
  it.succeeded();
  for (const name of ["a", "b"]) want(name);
  await pass(0);
  for (let left = 2; left > 0; left--) {
    it.failed();
    it.leave();
  }
  await pass(MINUTE);
  want("after a minute");
  assert.deepEqual(await pass(0), ["after a minute go"]);
});

test("failures before a time are forgotten, later ones are not", async () => {
  const { it, want, pass } = gate({ concurrency: 4 });
  want("a");
  await pass(0);
  it.failed();
  it.leave();
  it.forget(999_999);
  want("early");
  assert.deepEqual(await pass(0), ["early down"]);
  it.forget(1_000_000);
  want("b");
  want("c");
  assert.deepEqual(await pass(0), ["b go"]);
  // It is as if it had never failed: others wait, and then a minute again.
  it.failed();
  it.leave();
  assert.deepEqual(await pass(0), ["c down"]);
  want("d");
  assert.deepEqual(await pass(MINUTE), ["d down"]);
  want("probe");
  assert.deepEqual(await pass(0), ["probe go"]);
});

test("a rate lets so many in in a period, however quick they leave", async () => {
  const { it, want, pass } = gate({ rate: { count: 2, ms: 1000 } });
  it.succeeded();
  for (const name of ["a", "b", "c", "d", "e"]) want(name);
  assert.deepEqual(await pass(0), ["a go", "b go"]);
  it.leave();
  it.leave();
  assert.deepEqual(await pass(999), []);
  assert.deepEqual(await pass(1), ["c go", "d go"]);
  it.leave();
  it.leave();
  assert.deepEqual(await pass(1000), ["e go"]);
});
