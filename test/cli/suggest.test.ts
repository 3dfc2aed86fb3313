import assert from "node:assert/strict";
import { test } from "node:test";
import { nearest } from "../../cli/suggest.ts";

test("nearest() finds what was meant, and nothing where nothing was", () => {
  const known = ["install", "start", "stop", "status", "queue"];
  const cases = [
    ["instal", "install"],
    ["isntall", "install"],
    ["STRAT", "start"],
    ["stauts", "status"],
    ["qeue", "queue"],
    ["frobnicate", null],
  ] as const;
  for (const [word, meant] of cases) assert.equal(nearest(word, known), meant, word);
});
