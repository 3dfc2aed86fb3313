import assert from "node:assert/strict";
import { test } from "node:test";
import { Patience } from "../../../qmail/remote/patience.ts";

/** Patience for `slots`, a clock that stands still, and who has been given up. */
function patience(slots: number) {
  let now = 1_000_000;
  let timers: { at: number; action: () => void }[] = [];
  const it = new Patience(() => slots, {
    now: () => now,
    after: (ms, action) => void timers.push({ at: now + ms, action }),
  });
  const gone: string[] = [];
  return {
    begin: (name: string, again = false) => it.begin(() => void gone.push(name), again),
    /** Lets time pass; returns who was given up. */
    pass: (ms: number) => {
      now += ms;
      const due = timers.filter(({ at }) => at <= now);
      timers = timers.filter(({ at }) => at > now);
      for (const { action } of due) action();
      return gone.splice(0);
    },
    timers: () => timers.length,
  };
}

test("half of the slots may wait as long as they like", () => {
  const { begin, pass, timers } = patience(4);
  begin("a");
  begin("b");
  assert.equal(timers(), 0);
  assert.deepEqual(pass(1_000_000), []);
});

test("beyond, those that have waited for ten seconds are given up, the longest first", () => {
  const { begin, pass } = patience(4);
  begin("a");
  begin("b");
  assert.deepEqual(pass(4000), []);
  begin("c");
  assert.deepEqual(pass(5999), []);
  assert.deepEqual(pass(1), ["a"]);
  assert.deepEqual(pass(100_000), []);
  begin("d");
  begin("e");
  assert.deepEqual(pass(0), ["b", "c"]);
});

test("who was answered in time does not count", () => {
  const { begin, pass } = patience(2);
  const answered = begin("a");
  begin("b");
  answered();
  assert.deepEqual(pass(100_000), []);
  begin("c");
  assert.deepEqual(pass(0), ["b"]);
});

test("who could not be reached the last time goes first, after a second", () => {
  const { begin, pass } = patience(4);
  begin("a");
  begin("b");
  begin("c", true);
  assert.deepEqual(pass(999), []);
  assert.deepEqual(pass(1), ["c"]);
  assert.deepEqual(pass(100_000), []);
});

test("who comes later and goes earlier is not kept by the others", () => {
  const { begin, pass } = patience(2);
  begin("a");
  begin("b");
  begin("c", true);
  assert.deepEqual(pass(1000), ["c"]);
  assert.deepEqual(pass(9000), ["a"]);
});
