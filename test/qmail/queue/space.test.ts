import assert from "node:assert/strict";
import { test } from "node:test";
import { type Free, QueueSpace, queueSpace } from "../../../qmail/queue/space.ts";

test("QueueSpace: bytes and inodes, and what a message says of its size", () => {
  const needed = { minFree: 1000, minInodes: 10 };
  for (const [bytes, inodes, size, has] of [
    [1000, 10, 0, true],
    [999, 10, 0, false],
    [1000, 9, 0, false],
    [1500, 10, 500, true],
    [1500, 10, 501, false],
    [1500, Number.POSITIVE_INFINITY, 1, true],
  ] as const) {
    const space = new QueueSpace(() => ({ bytes, inodes }));
    assert.equal(space.has(size, needed), has);
  }
});

test("QueueSpace looks once in a second, and not at all where nobody wants to know", () => {
  let [now, looks] = [0, 0];
  let free: Free | null = { bytes: 0, inodes: 0 };
  const space = new QueueSpace(
    () => {
      looks++;
      return free;
    },
    () => now,
  );
  assert.equal(space.has(1, { minFree: 0, minInodes: 0 }), true);
  assert.equal(looks, 0);
  const needed = { minFree: 1, minInodes: 0 };
  for (let n = 0; n < 1000; n++) assert.equal(space.has(0, needed), false);
  assert.equal(looks, 1);
  free = { bytes: 10, inodes: 0 };
  now = 999;
  assert.equal(space.has(0, needed), false);
  now = 1000;
  assert.equal(space.has(0, needed), true);
  assert.equal(looks, 2);
  // What cannot be known stops no mail.
  free = null;
  now = 2000;
  assert.equal(space.has(1e18, needed), true);
});

test("queueSpace() measures a filesystem; without a queue there is no bound", () => {
  assert.equal(queueSpace("/nonexistent").has(1e18, { minFree: 1, minInodes: 1 }), true);
  const impossible = { minFree: Number.MAX_SAFE_INTEGER, minInodes: 0 };
  assert.equal(queueSpace(`${import.meta.dirname}/..`).has(0, impossible), false);
});
