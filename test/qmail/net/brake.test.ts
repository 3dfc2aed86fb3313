import assert from "node:assert/strict";
import { test } from "node:test";
import { Brake } from "../../../qmail/net/brake.ts";

const makeBrake = (free = 3, times = new Map<string, number>()) =>
  new Brake({ name: "x", free, forgiveSeconds: 60 }, times);

test("Brake holds who failed too often, and forgives with time", () => {
  const brake = makeBrake();
  for (let n = 0; n < 3; n++) {
    assert.equal(brake.holds("a", 1000), false);
    brake.failed("a", 1000);
  }
  assert.equal(brake.holds("a", 1000), true);
  assert.equal(brake.holds("b", 1000), false);
  assert.equal(brake.holds("a", 1059), true);
  assert.equal(brake.holds("a", 1061), false);
  const failure = brake.failed("a", 1061);
  assert.equal(brake.holds("a", 1061), true);
  brake.takeBack("a", failure, 1061);
  assert.equal(brake.holds("a", 1061), false);
});

test("Brake never makes anybody wait for longer than it takes to forgive all", () => {
  const times = new Map<string, number>();
  const brake = makeBrake(3, times);
  for (let n = 0; n < 1000; n++) brake.failed("a", 1000);
  assert.equal(brake.holds("a", 1000 + 60 + 1), false);
  // Nor when the clock was a year ahead then.
  times.set("x a", 1000 + 365 * 86_400);
  assert.equal(brake.holds("a", 1000 + 60 + 1), true);
  brake.takeBack("a", { added: 1, forgivenAt: 1060 }, 1000);
  assert.equal(brake.holds("a", 1000), false);
});

test("Brake takes back of a failure what is left of it, and nothing of another's", () => {
  const brake = makeBrake();
  const first = brake.failed("a", 1000);
  const forgiven = 1000 + 60;
  for (let n = 0; n < 3; n++) brake.failed("a", forgiven);
  brake.takeBack("a", first, forgiven);
  assert.equal(brake.holds("a", forgiven), true);
  // Where no more could be counted there is nothing to take back.
  const beyond = brake.failed("a", forgiven);
  brake.takeBack("a", beyond, forgiven);
  assert.equal(brake.holds("a", forgiven), true);
});
