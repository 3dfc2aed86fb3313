import assert from "node:assert/strict";
import { mock, test } from "node:test";
import fc from "fast-check";
import { oneLine, Warnings } from "../../qmail/warn.ts";

test("whatever is said of whatever is one line that can be read", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 5000 }), (text) => {
      const line = oneLine(text);
      assert.match(line, /^[ -~]*$/);
      assert.ok(line.length <= 1003);
    }),
  );
  assert.equal(oneLine("a\n\x1b[2J\rb\xe4"), "a/?[2J?b?");
});

test("163,000 lines in four seconds are a few, and the number of the rest", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const lines: string[] = [];
    let now = 0;
    const warnings = new Warnings(
      (line) => lines.push(line),
      () => now,
    );
    for (let at = 0; at < 163_000; at++) {
      now = (at / 163_000) * 4000;
      warnings.say("somebody said something");
    }
    assert.ok(lines.length >= 20 && lines.length < 40, `${lines.length} lines`);
    const said = lines.length;
    mock.timers.tick(10_000);
    assert.deepEqual(lines.slice(said), [`... and ${163_000 - said} more of this kind`]);
    // Who has been quiet for a while is heard again.
    now = 60_000;
    warnings.say("again");
    assert.equal(lines.at(-1), "again");
  } finally {
    mock.timers.reset();
  }
});

test("one subject does not silence another", () => {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  const noisy = new Warnings(write, () => 0);
  const quiet = new Warnings(write, () => 0);
  for (let at = 0; at < 1000; at++) noisy.say("noise");
  quiet.say("the disk is full");
  assert.ok(lines.includes("the disk is full"));
});
