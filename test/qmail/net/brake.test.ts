import assert from "node:assert/strict";
import { test } from "node:test";
import { Brake } from "../../../qmail/net/brake.ts";

test("Brake holds who failed too often, and forgives with time", () => {
  const brake = new Brake({ free: 3, forgiveSeconds: 60 });
  for (let n = 0; n < 3; n++) {
    assert.equal(brake.holds("a", 1000), false);
    brake.failed("a", 1000);
  }
  assert.equal(brake.holds("a", 1000), true);
  assert.equal(brake.holds("b", 1000), false);
  assert.equal(brake.holds("a", 1059), true);
  assert.equal(brake.holds("a", 1061), false);
  brake.failed("a", 1061);
  assert.equal(brake.holds("a", 1061), true);
});

test("Brake never makes anybody wait for longer than it takes to forgive all", () => {
  const brake = new Brake({ free: 3, forgiveSeconds: 60 });
  for (let n = 0; n < 1000; n++) brake.failed("a", 1000);
  assert.equal(brake.holds("a", 1000 + 60 + 1), false);
});

test("Brake remembers a bounded number of keys, the latest", () => {
  const brake = new Brake({ free: 1, forgiveSeconds: 60, keys: 2 });
  for (const key of ["a", "b", "a", "c"]) brake.failed(key, 0);
  assert.deepEqual(
    ["a", "b", "c"].map((key) => brake.holds(key, 0)),
    [true, false, true],
  );
});
