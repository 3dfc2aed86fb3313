import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { linesBackwards } from "../../../commands/log/backwards.ts";

const NO_LIMITS = { bytes: Number.POSITIVE_INFINITY, time: Number.POSITIVE_INFINITY };

function logDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-backwards-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function read(directory: string, enough = Number.POSITIVE_INFINITY): string[] {
  const lines: string[] = [];
  linesBackwards(directory, NO_LIMITS, (bytes, from, to) => {
    lines.push(bytes.toString("latin1", from, to));
    return lines.length < enough;
  });
  return lines;
}

test("lines of several files come from the last to the first, empty ones are left out", (t) => {
  const directory = logDirectory(t);
  const line = fc.string({ unit: fc.constantFrom("a", "b", " "), maxLength: 4 });
  const file = fc.tuple(fc.array(line, { maxLength: 6 }), fc.boolean());
  fc.assert(
    fc.property(file, file, (first, last) => {
      const text = ([lines, ended]: readonly [readonly string[], boolean]) =>
        lines.map((each) => `${each}\n`).join("") + (ended ? "" : "x");
      writeFileSync(join(directory, `@${"4".repeat(24)}.s`), text(first));
      writeFileSync(join(directory, "current"), text(last));
      const all = [first, last].flatMap((each) => text(each).split("\n"));
      assert.deepEqual(read(directory), all.filter((each) => each !== "").reverse());
    }),
  );
});

test("lines across blocks are whole, whatever their length", (t) => {
  const directory = logDirectory(t);
  const lines = Array.from({ length: 400 }, (_, at) => `${at}${"x".repeat((at * 7919) % 20_000)}`);
  writeFileSync(join(directory, "current"), `${lines.join("\n")}\n`);
  assert.deepEqual(read(directory), lines.toReversed());
  assert.deepEqual(read(directory, 2), [lines[399], lines[398]]);
});

test("a line without end costs no memory, and hides none behind it", (t) => {
  const directory = logDirectory(t);
  writeFileSync(join(directory, "current"), `first\n${"\0".repeat(12 << 20)}\nlast\n`);
  const lines = read(directory);
  assert.deepEqual([lines[0], lines.at(-1)], ["last", "first"]);
});

test("a limit ends it, and says so", (t) => {
  const directory = logDirectory(t);
  writeFileSync(join(directory, "current"), "line\n".repeat(1 << 20));
  let count = 0;
  const line = () => ++count > 0;
  assert.equal(linesBackwards(directory, { ...NO_LIMITS, bytes: 1 << 20 }, line), false);
  assert.ok(count < 1 << 19, String(count));
  assert.equal(linesBackwards(directory, NO_LIMITS, line), true);
  assert.equal(linesBackwards(directory, { ...NO_LIMITS, time: -1 }, line), false);
});
