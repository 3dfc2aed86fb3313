import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { formatHeld, HELD_DIRECTORY, HeldFile, parseHeld } from "../../../qmail/queue/held.ts";

const id = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }).map(String);
const held = fc.uniqueArray(fc.tuple(id, fc.nat()), { selector: ([name]) => name });

test("what is held is read back", () => {
  fc.assert(
    fc.property(held, (entries) => {
      assert.deepEqual([...parseHeld(formatHeld(entries))], entries);
    }),
  );
});

test("later lines count, and what is no whole line does not", () => {
  const text = "+1 10\n+2 20\nrubbish\n-1 10\n+2 21\n-2 20\n-3 1\n+4\n+05 1\n\n+6 60\n-6 60\n+7 7";
  assert.deepEqual([...parseHeld(text)], [["2", 21]]);
});

test("any beginning of the file is some state that it has had", () => {
  const change = fc.oneof(
    fc.tuple(id, fc.nat()).map(([name, made]) => `+${name} ${made}\n`),
    fc.tuple(id, fc.nat()).map(([name, made]) => `-${name} ${made}\n`),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 20 }), fc.nat(), (changes, at) => {
      const text = changes.join("");
      const cut = text.slice(0, text.length === 0 ? 0 : at % text.length);
      const whole = cut.slice(0, cut.lastIndexOf("\n") + 1);
      assert.deepEqual(parseHeld(cut), parseHeld(whole));
    }),
  );
});

test("changes that come together share a write, and a line that a crash has cut off goes", async () => {
  const home = mkdtempSync(join(tmpdir(), "qmailctl-held-"));
  try {
    mkdirSync(join(home, HELD_DIRECTORY));
    const path = join(home, HELD_DIRECTORY, "messages");
    const file = new HeldFile(home);
    assert.equal(file.read().size, 0);
    await Promise.all([file.hold([["1", 10]]), file.hold([["2", 20]]), file.release([["1", 10]])]);
    assert.equal(readFileSync(path, "latin1"), "+1 10\n+2 20\n-1 10\n");
    appendFileSync(path, "-2 20");
    await file.hold([["4", 40]]);
    assert.deepEqual(
      [...file.read()],
      [
        ["2", 20],
        ["4", 40],
      ],
    );
    file.rewrite(new Map([["4", 40]]));
    assert.equal(readFileSync(path, "latin1"), "+4 40\n");
    writeFileSync(path, "");
    await file.release([["9", 1]]);
    assert.equal(file.read().size, 0);
  } finally {
    rmSync(home, { recursive: true });
  }
});

test("what cannot be noted is said", async () => {
  const file = new HeldFile("/nonexistent");
  assert.equal(file.read().size, 0);
  await assert.rejects(file.hold([["1", 10]]), /ENOENT/);
  await assert.rejects(file.hold([["1", 10]]), /ENOENT/);
});
