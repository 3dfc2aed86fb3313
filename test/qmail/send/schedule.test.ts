import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { IdSet } from "../../../qmail/send/id-set.ts";
import { Prioq } from "../../../qmail/send/prioq.ts";
import { nextRetry } from "../../../qmail/send/retry.ts";

test("the priority queue gives back everything by time", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 1000 })), (times) => {
      const queue = new Prioq();
      for (const [at, time] of times.entries()) queue.insert(String(at + 1), time);
      const out: number[] = [];
      for (let next = queue.minTime; queue.size > 0; next = queue.minTime) {
        const id = Number(queue.shift());
        assert.equal(times[id - 1], next);
        out.push(next);
      }
      assert.deepEqual(
        out,
        times.toSorted((a, b) => a - b),
      );
      assert.equal(queue.minTime, Number.POSITIVE_INFINITY);
    }),
  );
});

test("setAll() makes everything due", () => {
  const queue = new Prioq();
  for (const time of [5, 9, 7]) queue.insert(String(time), time);
  queue.setAll(1);
  assert.equal(queue.minTime, 1);
  assert.deepEqual([queue.shift(), queue.shift(), queue.shift()].sort(), ["5", "7", "9"]);
});

test("remove() takes one entry out and leaves the others in their order", () => {
  const entry = fc.tuple(fc.nat(100), fc.boolean());
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 200 }), (entries) => {
      const queue = new Prioq();
      for (const [at, [time]] of entries.entries()) queue.insert(String(at + 1), time);
      for (const [at, [, gone]] of entries.entries()) {
        if (gone) assert.ok(queue.remove(String(at + 1)));
      }
      assert.ok(!queue.remove("1000"));
      const out: number[] = [];
      for (let id = queue.shift(); id; id = queue.shift())
        out.push(entries[Number(id) - 1]?.[0] ?? -1);
      const stay = entries.filter(([, gone]) => !gone).map(([time]) => time);
      assert.deepEqual(
        out,
        stay.toSorted((a, b) => a - b),
      );
    }),
  );
});

test("take() takes out all that are asked for and leaves the others in their order", () => {
  // Ids that differ only far above the bits that are looked at first.
  const far = fc.record({ low: fc.nat(20), high: fc.nat(20) });
  const entry = fc.record({ id: far, time: fc.nat(50), saved: fc.boolean(), asked: fc.boolean() });
  const number = ({ low, high }: { low: number; high: number }) => String(high * 65_536 + low + 1);
  const entries = fc.uniqueArray(entry, { selector: ({ id }) => number(id), maxLength: 200 });
  fc.assert(
    fc.property(entries, fc.nat(50), (all, shifts) => {
      const queue = new Prioq();
      const left = new Map(all.map((each) => [number(each.id), each]));
      for (const [id, { time, saved }] of left) queue.insert(id, time, saved);
      for (let at = 0; at < Math.min(shifts, all.length); at++) left.delete(queue.shift() ?? "");
      const asked = all.filter((each) => each.asked).map((each) => number(each.id));
      const expected = asked.filter((id) => left.has(id)).sort();
      const taken = queue.take(new IdSet(asked));
      assert.deepEqual(taken.map(({ id }) => id).sort(), expected);
      for (const { id, time, saved } of taken) {
        assert.deepEqual({ time, saved }, { time: left.get(id)?.time, saved: left.get(id)?.saved });
        left.delete(id);
      }
      const out: number[] = [];
      for (let id = queue.shift(); id; id = queue.shift()) out.push(left.get(id)?.time ?? -1);
      assert.deepEqual(
        out,
        [...left.values()].map(({ time }) => time).sort((a, b) => a - b),
      );
    }),
  );
});

test("unsaved() are those whose times are not in their files, wherever they have moved", () => {
  const entry = fc.record({ time: fc.nat(100), saved: fc.boolean(), gone: fc.boolean() });
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 300 }), fc.nat(100), (entries, shifts) => {
      const queue = new Prioq();
      const wanted = new Set<string>();
      for (const [at, { time, saved }] of entries.entries()) {
        queue.insert(String(at + 1), time, saved);
        if (!saved) wanted.add(String(at + 1));
      }
      for (const [at, { gone }] of entries.entries()) {
        if (gone && queue.remove(String(at + 1))) wanted.delete(String(at + 1));
      }
      for (let at = 0; at < shifts; at++) wanted.delete(queue.shift() ?? "");
      const found = [...queue.unsaved()];
      assert.deepEqual(new Set(found.map(([id]) => id)), wanted);
      for (const [id, time] of found) assert.equal(time, entries[Number(id) - 1]?.time);
      queue.setAll(7);
      assert.equal([...queue.unsaved()].length, queue.size);
    }),
  );
});

/** The square root as qmail-send.c finds it, bit by bit, for 32 bits. */
function squareroot(x: number): number {
  let y = 0n;
  let yy = 0n;
  for (let j = 15n; j >= 0n; j--) {
    const y21 = (y << (j + 1n)) + (1n << (j + j));
    if (y21 > BigInt(x) - yy) continue;
    y += 1n << j;
    yy += y21;
  }
  return Number(y);
}

test("nextRetry() is qmail's formula: a square root without a remainder, and a skip of 10 or 20", () => {
  const age = fc.oneof(
    fc.nat(0xffffffff),
    fc.nat(65_535).map((root) => root * root),
    fc.integer({ min: 1, max: 65_535 }).map((root) => root * root - 1),
  );
  fc.assert(
    fc.property(fc.nat(2_000_000_000), age, (birth, seconds) => {
      for (const [channel, skip] of [
        ["local", 10],
        ["remote", 20],
      ] as const) {
        const n = squareroot(seconds) + skip;
        assert.equal(nextRetry(birth, channel, birth + seconds), birth + n * n);
      }
    }),
  );
});

test("inode numbers of 64 bits come out of the priority queue as they went in", () => {
  const ino = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n });
  fc.assert(
    fc.property(fc.uniqueArray(ino, { minLength: 1, maxLength: 300 }), (inodes) => {
      const queue = new Prioq();
      const ids = inodes.map(String);
      for (const [at, id] of ids.entries()) queue.insert(id, at);
      assert.deepEqual([...queue].map(([id]) => id).toSorted(), ids.toSorted());
      for (const id of ids) assert.equal(queue.shift(), id);
      assert.equal(queue.shift(), undefined);
    }),
  );
});

/** Tries after: the table of qmail-send's schedule, in seconds after birth. */
test("the schedule is quadratic: 400, 1600, 3600 s for remote; 100, 400, 900 s for local", () => {
  let tried = 0;
  for (const expected of [400, 1600, 3600, 6400, 10_000]) {
    tried = nextRetry(0, "remote", tried);
    assert.equal(tried, expected);
  }
  tried = 0;
  for (const expected of [100, 400, 900]) {
    tried = nextRetry(0, "local", tried);
    assert.equal(tried, expected);
  }
  // Born while the clock was ahead.
  assert.equal(nextRetry(1000, "local", 500), 600);
});
