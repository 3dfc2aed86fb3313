import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { WAITING_EACH, Waiting } from "../../../qmail/spawn/waiting.ts";

function setUp() {
  /** What is passed on as waiting now. */
  const passed = new Set<number>();
  const waiting = new Waiting((id, waits) => {
    assert.notEqual(passed.has(id), waits);
    if (waits) passed.add(id);
    else passed.delete(id);
  });
  return { waiting, passed };
}

test("so many are passed on; who goes on or ends gives his place to the next", () => {
  const { waiting, passed } = setUp();
  for (let id = 1; id <= WAITING_EACH + 2; id++) waiting.say(id, true);
  assert.equal(passed.size, WAITING_EACH);
  waiting.say(1, false);
  assert.ok(!passed.has(1) && passed.has(WAITING_EACH + 1));
  passed.delete(2);
  waiting.end(2);
  assert.ok(passed.has(WAITING_EACH + 2));
  waiting.say(1, true);
  assert.equal(passed.size, WAITING_EACH);
});

test("whatever a worker says, what is passed on waits, and is as many as may be", () => {
  const action = fc.tuple(fc.constantFrom("waits", "goes on", "ends"), fc.nat(150));
  fc.assert(
    fc.property(fc.array(action, { maxLength: 400 }), (actions) => {
      const { waiting, passed } = setUp();
      const all = new Set<number>();
      for (const [what, id] of actions) {
        if (what === "waits") all.add(id);
        else all.delete(id);
        if (what === "ends") passed.delete(id);
        if (what === "ends") waiting.end(id);
        else waiting.say(id, what === "waits");
        assert.equal(passed.size, Math.min(all.size, WAITING_EACH));
        for (const each of passed) assert.ok(all.has(each));
      }
    }),
  );
});
