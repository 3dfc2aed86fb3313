import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Action,
  actionFor,
  brake,
  type Event,
  STEADY_MS,
  type State,
} from "../../../qmail/supervise/transitions.ts";

/** Where an action leads. */
const LEADS: Record<Exclude<Action, "none" | "kill">, State["name"]> = {
  spawn: "starting",
  up: "up",
  clear: "clearing",
  wait: "waiting",
  terminate: "stopping",
  down: "down",
};

function walk(events: readonly Event[]): State["name"] {
  return events.reduce<State["name"]>((state, event) => {
    const action = actionFor(state, event);
    if (action === "none" || action === "kill") return state;
    // What is stopped stays so while it is cleared.
    return action === "clear" && state === "stopping" ? state : LEADS[action];
  }, "down");
}

test("the usual life", () => {
  assert.equal(walk(["start"]), "starting");
  assert.equal(walk(["start", "ready"]), "up");
  assert.equal(walk(["start", "ready", "exit", "empty"]), "waiting");
  assert.equal(walk(["start", "ready", "exit", "empty", "timeout"]), "starting");
  assert.equal(walk(["start", "ready", "stop"]), "stopping");
  assert.equal(walk(["start", "ready", "stop", "exit", "empty"]), "down");
});

test("nothing is started, and nothing is down, before the group is empty", () => {
  const event = fc.constantFrom<Event>("start", "ready", "exit", "stop", "timeout");
  fc.assert(
    fc.property(fc.array(event), (events) => {
      for (const before of [["exit"], ["stop"], ["stop", "exit"], ["exit", "stop"]] as const) {
        const state = walk(["start", "ready", ...before, ...events]);
        assert.ok(["clearing", "stopping"].includes(state), state);
      }
    }),
  );
});

test("after a stop nothing is started again, whatever comes, but by start", () => {
  const event = fc.constantFrom<Event>("ready", "exit", "empty", "stop", "timeout");
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom<Event>("start", "ready", "exit", "empty", "timeout")),
      fc.array(event),
      (before, after) => {
        assert.ok(["down", "stopping"].includes(walk([...before, "stop", ...after])));
      },
    ),
  );
});

test("brake(): the first death costs nothing, more cost more, a long life is forgiven", () => {
  let failures = 0;
  const delays = Array.from({ length: 8 }, () => {
    const next = brake(10, failures);
    failures = next.failures;
    return next.delay;
  });
  assert.deepEqual(delays, [0, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  assert.deepEqual(brake(STEADY_MS, failures), { delay: 0, failures: 0 });
});
