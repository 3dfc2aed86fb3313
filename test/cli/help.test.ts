import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { wrapRow } from "../../cli/help.ts";

test("a row that is too wide goes on below its text", () => {
  const row = "  start    Start the mail server and wait until it is there";
  assert.deepEqual(wrapRow(row, 40), [
    "  start    Start the mail server and",
    "           wait until it is there",
  ]);
  assert.deepEqual(wrapRow(row, 80), [row]);
  assert.deepEqual(wrapRow(row, Number.POSITIVE_INFINITY), [row]);
});

test("what is no row, or has no room, stays as it is", () => {
  const sentence =
    "qmailctl COMMAND --help tells more about one of all the commands that there are.";
  assert.deepEqual(wrapRow(sentence, 40), [sentence]);
  const row = "  a-very-long-name-for-a-command  what it does and more";
  assert.deepEqual(wrapRow(row, 40), [row]);
});

test("no word is lost, and no line too wide unless a word is", () => {
  const word = fc.stringMatching(/^[a-z]{1,12}$/);
  fc.assert(
    fc.property(
      fc.array(word, { minLength: 1 }),
      fc.integer({ min: 30, max: 100 }),
      (words, width) => {
        const lines = wrapRow(`  name  ${words.join(" ")}`, width);
        assert.equal(lines.join(" ").replace(/ +/g, " ").trim(), `name ${words.join(" ")}`);
        for (const line of lines) assert.ok(line.length <= width);
      },
    ),
  );
});
