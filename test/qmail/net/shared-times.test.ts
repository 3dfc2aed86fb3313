import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { SharedTimes } from "../../../qmail/net/shared-times.ts";

function makeDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-times-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const now = Math.floor(Date.now() / 1000);

test("what one has set another reads, whatever the key is", (t) => {
  const directory = makeDirectory(t);
  const [one, other] = [1, 2].map(() => new SharedTimes(directory, { warn: assert.fail })) as [
    SharedTimes,
    SharedTimes,
  ];
  for (const key of ["a", "", "../a", "a/b", "\0", "\xff\n".repeat(5000)]) {
    assert.equal(other.get(key), undefined);
    one.set(key, now + 60.5);
    assert.ok(Math.abs((other.get(key) ?? 0) - now - 60.5) < 0.01);
    other.set(key, now + 5);
    assert.equal(one.get(key), now + 5);
  }
  assert.ok(readdirSync(directory).every((name) => /^[0-9a-f]{64}$/.test(name)));
});

test("there are so many files at most, and those stay that count for longest", (t) => {
  const directory = makeDirectory(t);
  const times = new SharedTimes(directory, { warn: assert.fail, most: 50 });
  for (let n = 0; n < 1000; n++) times.set(String(n), now + 1000 + n);
  assert.ok(readdirSync(directory).length <= 100);
  assert.equal(times.get("999"), now + 1999);
  for (let n = 0; n < 50; n++) times.set(`past ${n}`, now - 10);
  assert.equal(times.get("past 0"), undefined);
  assert.equal(times.get("999"), now + 1999);
});

test("without the directory the times count for one process, and that is said once", (t) => {
  const said: string[] = [];
  const directory = join(makeDirectory(t), "none");
  const options = { warn: (text: string) => void said.push(text) };
  const [one, other] = [1, 2].map(() => new SharedTimes(directory, options));
  one?.set("a", now);
  one?.set("b", now);
  assert.deepEqual([one?.get("a"), other?.get("a")], [now, undefined]);
  assert.deepEqual([said.length, said[0]?.includes("ENOENT")], [1, true]);
});
