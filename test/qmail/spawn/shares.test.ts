import assert from "node:assert/strict";
import { mock, test } from "node:test";
import fc from "fast-check";
import type { Report } from "../../../qmail/spawn/report.ts";
import { PATIENCE_MS, type Place, Shares, STALL_MS } from "../../../qmail/spawn/shares.ts";

const LIMIT = 10;

/** qmail-send with `limit` slots, which gives out deliveries in their order, and a clock that is ours. */
class Rig {
  readonly shares: Shares;
  readonly limit: number;
  now = 0;
  /** What has not had a slot yet. */
  readonly queue: Delivery[] = [];
  readonly under = new Set<Delivery>();
  /** The order in which turns came, by uid. */
  readonly begun: number[] = [];

  constructor(limit = LIMIT, alone = false) {
    this.limit = limit;
    this.shares = new Shares({ alone, now: () => this.now });
    this.shares.limit = limit;
  }

  get slots(): number {
    return [...this.under].filter(({ slot }) => slot).length;
  }

  running(uid?: number): number {
    const all = [...this.under].filter((each) => each.place && !each.blocked);
    return uid === undefined ? all.length : all.filter((each) => each.uid === uid).length;
  }

  /** Messages for `uid` come into the queue. */
  put(uid: number, count = 1): Delivery[] {
    const all = Array.from({ length: count }, () => new Delivery(this, uid));
    this.queue.push(...all);
    this.run();
    return all;
  }

  run(): void {
    while (this.slots < this.limit) {
      const next = this.queue.shift();
      if (!next) return;
      this.under.add(next);
      next.slot = true;
      this.shares.enter(next.uid, next);
    }
  }

  /** Time passes; qmail-send does what it can meanwhile. */
  pass(ms: number): void {
    for (let at = 0; at < ms; at += 100) {
      this.now += 100;
      mock.timers.tick(100);
      this.run();
    }
  }
}

class Delivery {
  readonly #rig: Rig;
  readonly uid: number;
  place: Place | null = null;
  slot = false;
  blocked = false;
  report: Report | "done" | null = null;

  constructor(rig: Rig, uid: number) {
    this.#rig = rig;
    this.uid = uid;
  }

  start(place: Place): void {
    assert.equal(this.place, null);
    this.place = place;
    this.#rig.begun.push(this.uid);
  }

  refuse(report: Report): void {
    assert.equal(this.place, null);
    this.#over(report);
  }

  waits(waits: boolean): void {
    assert.ok(this.#rig.under.has(this), "a word about a delivery that is over");
    assert.equal(this.slot, waits, "said twice");
    this.slot = !waits;
  }

  block(blocked: boolean): void {
    this.blocked = blocked;
    this.place?.blocked(blocked);
    this.#rig.run();
  }

  finish(): void {
    assert.ok(this.place && !this.report);
    this.place.end();
    this.#over("done");
    this.#rig.run();
  }

  #over(report: Report | "done"): void {
    assert.equal(this.report, null);
    this.report = report;
    this.#rig.under.delete(this);
  }
}

function timed(name: string, body: () => void): void {
  test(name, () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      body();
    } finally {
      mock.timers.reset();
    }
  });
}

timed("ten programs of one user that sleep keep others waiting for a second, not longer", () => {
  const rig = new Rig();
  const asleep = rig.put(1, 10);
  const other = rig.put(2, 5);
  assert.equal(rig.running(1), 10);
  assert.ok(other.every(({ place }) => !place));
  rig.pass(STALL_MS + 100);
  assert.ok(other.every(({ place }) => place));
  // Nothing was done to the programs.
  assert.equal(rig.running(1), 10);
  assert.ok(asleep.every(({ report }) => report === null));
});

timed("a user alone has all slots, before and after his programs have slept", () => {
  const rig = new Rig();
  rig.put(1, 40);
  assert.equal(rig.running(), LIMIT);
  rig.pass(STALL_MS + 500);
  assert.equal(rig.running(), LIMIT);
  for (let ended = 0; ended < 30; ended++) {
    [...rig.under].find(({ place }) => place)?.finish();
    assert.equal(rig.running(), LIMIT);
  }
});

timed("as long as all goes on its way qmail-send hears nothing", () => {
  const rig = new Rig();
  const all = rig.put(1, 200);
  for (const delivery of all) delivery.waits = () => assert.fail("it was said to wait");
  for (let round = 0; round < 20; round++) {
    rig.pass(900);
    for (const delivery of [...rig.under]) delivery.finish();
  }
  assert.ok(all.every(({ report }) => report === "done"));
});

timed("the order of one user's messages stays", () => {
  const rig = new Rig();
  const all = rig.put(1, 60);
  rig.pass(STALL_MS + 500);
  const order: Delivery[] = [];
  for (const each of all) {
    const start = each.start.bind(each);
    if (each.place) order.push(each);
    each.start = (place) => {
      order.push(each);
      start(place);
    };
  }
  while (rig.under.size > 0) [...rig.under].find(({ place }) => place)?.finish();
  assert.deepEqual(order, all);
});

timed("a thousand that sleep: others have their mail, what is too much is put off", () => {
  const rig = new Rig();
  const flood = rig.put(1, 1000);
  rig.put(2);
  rig.pass(STALL_MS + PATIENCE_MS + 2000);
  assert.ok(rig.begun.includes(2), "the other's mail waits");
  const putOff = flood.filter(({ report }) => report !== null);
  assert.ok(putOff.length > 500);
  for (const { report } of putOff) assert.equal((report as Report).status, "Z");
  // Bounded: what runs, and what waits for it.
  assert.ok(rig.under.size < 2 * LIMIT + 110);
});

timed("locks that are never released and programs that sleep together keep no slot", () => {
  const rig = new Rig();
  for (const each of rig.put(1, 500)) if (each.place) each.block(true);
  for (let round = 0; round < 100; round++) {
    for (const each of [...rig.under]) if (each.place && !each.blocked) each.block(true);
  }
  rig.put(1, 50);
  const other = rig.put(2, 3);
  rig.pass(STALL_MS + PATIENCE_MS + 3000);
  assert.ok(other.every(({ place }) => place));
});

timed("at a stop nobody waits for his turn any more", () => {
  const rig = new Rig();
  rig.put(1, 50);
  rig.pass(STALL_MS + 500);
  rig.shares.leave();
  assert.equal(rig.under.size, LIMIT);
  rig.queue.length = 0;
  for (const each of [...rig.under]) each.finish();
  assert.equal(rig.under.size, 0);
});

timed("where all deliveries are one user's there is nobody to share with", () => {
  const rig = new Rig(LIMIT, true);
  const all = rig.put(1, 500);
  rig.pass(20_000);
  assert.equal(rig.running(), LIMIT);
  assert.ok(all.every(({ report }) => report === null));
});

timed("whatever comes and goes, slots are counted right and nobody is forgotten", () => {
  const step = fc.tuple(
    fc.constantFrom("put", "finish", "block", "go on", "pass"),
    fc.nat(3),
    fc.nat(30),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const rig = new Rig(6);
      const all: Delivery[] = [];
      for (const [what, uid, count] of steps) {
        const begun = [...rig.under].filter(({ place }) => place);
        const chosen = begun[count % Math.max(1, begun.length)];
        if (what === "put") all.push(...rig.put(uid, count));
        else if (what === "finish") chosen?.finish();
        else if (what === "block") chosen?.block(true);
        else if (what === "go on") chosen?.block(false);
        else rig.pass(count * 100);
        assert.ok(rig.slots <= 6 + 40);
        // Who has no turn waits for others, never for nothing.
        for (const each of rig.under) {
          if (!each.place) assert.ok(rig.running() >= 6 || rig.running(each.uid) >= 3);
        }
      }
      while (rig.under.size > 0) [...rig.under].find(({ place }) => place)?.finish();
      assert.ok(all.every(({ report }) => report !== null));
    }),
    { numRuns: 300 },
  );
});
