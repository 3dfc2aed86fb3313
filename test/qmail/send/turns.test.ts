import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Turns } from "../../../qmail/send/turns.ts";

function setUp(t: TestContext) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let count = 0;
  const turns = new Turns(() => count++);
  // How often it was its turn, when what was asked for by now has come.
  const taken = async () => {
    await new Promise(setImmediate);
    return count;
  };
  return { turns, taken };
}

test("however often it is asked for, one turn comes, and not within the call", async (t) => {
  let within = false;
  const turns = new Turns(() => assert.ok(!within));
  within = true;
  turns.ask();
  within = false;
  const { turns: others, taken } = setUp(t);
  for (let at = 0; at < 5; at++) others.ask();
  assert.equal(await taken(), 1);
  others.ask();
  assert.equal(await taken(), 2);
});

test("the clock asks once, for the last time that it was told, after a second at least", async (t) => {
  const { turns, taken } = setUp(t);
  turns.askIn(5);
  turns.askIn(-100);
  t.mock.timers.tick(999);
  assert.equal(await taken(), 0);
  t.mock.timers.tick(1);
  assert.equal(await taken(), 1);
  t.mock.timers.tick(10_000);
  assert.equal(await taken(), 1);
  turns.askIn(1);
  turns.stop();
  t.mock.timers.tick(2000);
  assert.equal(await taken(), 1);
});

test("a time that no timer can wait for is waited for a day at a time", async (t) => {
  const { turns, taken } = setUp(t);
  turns.askIn(Number.POSITIVE_INFINITY);
  t.mock.timers.tick(86_399_999);
  assert.equal(await taken(), 0);
  t.mock.timers.tick(1);
  assert.equal(await taken(), 1);
});
