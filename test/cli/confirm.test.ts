/** The question before what cannot be undone. */

import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { askYesNo } from "../../cli/confirm.ts";

async function ask(keys: string): Promise<[answer: boolean, shown: string]> {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const answer = askYesNo("Delete 3 messages?", { input, output });
  if (keys === "hang up") input.end();
  else input.write(keys);
  return [await answer, String(output.read() ?? "")];
}

for (const [keys, answer] of [
  ["y\r", true],
  ["Yes \r", true],
  ["n\r", false],
  ["\r", false],
  ["yess\r", false],
  // Ctrl-C, Ctrl-D, with and without something typed.
  ["\x03", false],
  ["y\x03", false],
  ["\x04", false],
  ["hang up", false],
] as const) {
  test(`[y/N] and ${JSON.stringify(keys)}`, async () => {
    const [said, shown] = await ask(keys);
    assert.equal(said, answer);
    assert.match(shown, /Delete 3 messages\? \[y\/N\] /);
    assert.match(shown, /\n$/);
  });
}
