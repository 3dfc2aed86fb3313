import assert from "node:assert/strict";
import { test } from "node:test";
import { explanationLines } from "../../../commands/explain/print.ts";
import type { Explanation } from "../../../commands/explain/walk.ts";

test("nothing of a user's files reaches the terminal raw, and columns are counted as they are seen", () => {
  const EVIL = "\u202egnp.exe\u001b[2J\u009b\n";
  const step = { topic: "file", text: EVIL, source: EVIL, notes: [EVIL] };
  const plain = { topic: "user", text: "用户", source: "users/assign", notes: [] };
  const explanation = {
    address: EVIL,
    steps: [step, plain],
    actions: [],
    report: { status: "D", text: EVIL },
    outcome: "D",
    channel: "local",
  } as unknown as Explanation;
  const lines = explanationLines(explanation);
  for (const line of lines) assert.match(line, /^[ -~用户]*$/);
  const source = (line = "") => line.indexOf("users/assign");
  const wide = lines.find((line) => line.includes("users/assign"));
  // Two characters that take four columns.
  assert.equal(source(wide) + 2, lines[2]?.lastIndexOf("?gnp.exe"));
});
