import assert from "node:assert/strict";
import { test } from "node:test";
import { DoneLines } from "../../../qmail/spawn/done-lines.ts";

test("what is done is remembered of one delivery until its end, and of no other", () => {
  const lines = new DoneLines();
  assert.equal(lines.get(["1", "a"]), "");
  lines.set(["1", "a"], "x:1");
  assert.equal(lines.get(["1", "a"]), "x:1");
  assert.equal(lines.get(["1", "b"]), "");
  assert.equal(lines.get(["1a", ""]), "");
  lines.set(["1", "a"], "x:2");
  assert.equal(lines.get(["1", "a"]), "x:2");
  lines.forget(["1", "a"]);
  assert.equal(lines.get(["1", "a"]), "");
});

test("of more than ten thousand the longest known is forgotten", () => {
  const lines = new DoneLines();
  for (let at = 0; at < 10_001; at++) {
    lines.set([`${at}`], "x:1");
    // Tried again and again: it is not the longest known.
    lines.set(["0"], `x:${at + 1}`);
  }
  assert.equal(lines.get(["0"]), "x:10001");
  assert.equal(lines.get(["1"]), "");
  assert.equal(lines.get(["2"]), "x:1");
});
