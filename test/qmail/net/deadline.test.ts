import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Deadline } from "../../../qmail/net/deadline.ts";

/** A deadline by a clock of our own, how often it was over, and how many timers were made. */
function make(t: TestContext) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let [now, over] = [5000, 0];
  const deadline = new Deadline(
    () => over++,
    () => now,
  );
  const made = t.mock.method(globalThis, "setTimeout");
  return {
    deadline,
    over: () => over,
    timers: () => made.mock.callCount(),
    pass(ms: number) {
      now += ms;
      t.mock.timers.tick(ms);
    },
  };
}

test("Deadline: over when the time is up, and once only", (t) => {
  const { deadline, over, pass } = make(t);
  deadline.allow(100);
  pass(99);
  assert.equal(over(), 0);
  pass(1);
  assert.equal(over(), 1);
  pass(1000);
  assert.equal(over(), 1);
  deadline.allow(10);
  pass(10);
  assert.equal(over(), 2);
});

test("Deadline: more time needs no more timers", (t) => {
  const { deadline, over, timers, pass } = make(t);
  for (let n = 0; n < 50; n++) {
    deadline.allow(1000);
    pass(10);
  }
  assert.equal(timers(), 1);
  pass(989);
  assert.equal(over(), 0);
  assert.equal(timers(), 2);
  pass(1);
  assert.equal(over(), 1);
});

test("Deadline: what is earned has a bound, and who is not waited for earns nothing", (t) => {
  const { deadline, over, pass } = make(t);
  deadline.allow(1000);
  // A byte every two seconds at 500 bytes a second: 2 ms each.
  for (let n = 0; n < 10; n++) deadline.extend(2, 1000);
  pass(1000);
  assert.equal(over(), 1);
  deadline.allow(1000);
  pass(500);
  deadline.extend(1e9, 1000);
  pass(999);
  assert.equal(over(), 1);
  pass(1);
  assert.equal(over(), 2);
  deadline.allow(1000);
  deadline.allow(Number.POSITIVE_INFINITY);
  deadline.extend(5, 1000);
  deadline.hurry(5);
  pass(10_000);
  assert.equal(over(), 2);
});

test("Deadline: hurry shortens, and never gives more", (t) => {
  const { deadline, over, pass } = make(t);
  deadline.allow(1000);
  deadline.hurry(100);
  pass(100);
  assert.equal(over(), 1);
  deadline.allow(50);
  deadline.hurry(100);
  pass(50);
  assert.equal(over(), 2);
});

test("Deadline: closed for good", (t) => {
  const { deadline, over, pass } = make(t);
  deadline.allow(10);
  deadline.close();
  pass(100);
  // What comes back late, as an answer that was being written, starts nothing.
  deadline.allow(10);
  deadline.extend(10, 100);
  pass(100);
  assert.equal(over(), 0);
});
