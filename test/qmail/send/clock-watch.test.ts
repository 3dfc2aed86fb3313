import assert from "node:assert/strict";
import { test } from "node:test";
import { ClockWatch } from "../../../qmail/send/clock-watch.ts";

test("a clock that was set back by a minute or more is noticed once", () => {
  let now = 1_700_000_000_000;
  let elapsed = 5000;
  const clock = new ClockWatch(
    () => now,
    () => elapsed,
  );
  const pass = (ms: number, set = 0) => {
    elapsed += ms;
    now += ms + set;
    return clock.back();
  };
  assert.equal(pass(3_600_000), 0);
  assert.equal(pass(1000, 40 * 3600_000), 0);
  assert.equal(pass(1000, -40 * 3600_000), 40 * 3600);
  assert.equal(pass(1000), 0);
  assert.equal(pass(1000, -59_000), 0);
  assert.equal(pass(1000, -60_000), 60);
  // A clock that is slowed down to be right again.
  for (let at = 0; at < 1000; at++) assert.equal(pass(1000, -500), 0);
});
