import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
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
  assert.equal(nextRetry(1000, "local", 500), 1100);
});
