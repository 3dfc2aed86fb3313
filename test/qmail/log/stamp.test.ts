import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { StampReader } from "../../../qmail/log/stamp.ts";
import { formatTai64n } from "../../../qmail/multilog/tai64n.ts";

const NOW = Date.UTC(2026, 10, 24, 12);

function read(line: string) {
  const bytes = Buffer.from(line, "latin1");
  const stamp = new StampReader(NOW);
  stamp.read(bytes, 0, bytes.length);
  return { ms: stamp.ms, text: line.slice(stamp.at), tag: stamp.tag, continued: stamp.continued };
}

test("TAI64N stamps are read as they are written", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4e12 }), (ms) => {
      const { ms: found, text } = read(`${formatTai64n(ms)} new msg 5`);
      assert.ok(Math.abs(found - ms) < 0.001);
      assert.equal(text, "new msg 5");
    }),
  );
});

const AT = Date.UTC(2024, 10, 24, 15, 4, 5);
const local = new Date(2024, 10, 24, 15, 4, 5).getTime();
const lastYear = new Date(2025, 11, 24, 15, 4, 5).getTime();

for (const [line, ms, tag] of [
  ["1732460645.250000 new msg 5", AT + 250, ""],
  ["1732460645 new msg 5", AT, ""],
  ["2024-11-24T15:04:05.250Z new msg 5", AT + 250, ""],
  ["2024-11-24T16:04:05+01:00 mail qmail: new msg 5", AT, "qmail"],
  ["2024-11-24T10:34:05-04:30 mail qmail[77]: new msg 5", AT, "qmail"],
  ["2024-11-24 15:04:05.250000000 new msg 5", local + 250, ""],
  // No year: the last such day that has been.
  ["Dec 24 15:04:05 mail qmail: new msg 5", lastYear, "qmail"],
  ["Dec 24 15:04:05 mail qmail: 1732460645.250000 new msg 5", AT + 250, "qmail"],
  ["Nov  3 05:04:05 mail.example.com qmail[1]: 1732460645.250000 new msg 5", AT + 250, "qmail"],
] as const) {
  test(`"${line}"`, () => {
    assert.deepEqual(read(line), { ms, text: "new msg 5", tag, continued: false });
  });
}

test("the rest of a line too long for syslog", () => {
  const { text, continued } = read("Nov  3 05:04:05 mail qmail: 1732460645.250000+rest of it");
  assert.deepEqual({ text, continued }, { text: "rest of it", continued: true });
});

test("words of ours are no host and tag", () => {
  assert.equal(read("2024-11-24T15:04:05Z delivery 5: success: x").text, "delivery 5: success: x");
  assert.equal(
    read("2024-11-24T15:04:05Z triple bounce: discarding x").text,
    "triple bounce: discarding x",
  );
  assert.equal(
    read("2024-11-24T15:04:05Z tcpserver: status: 1/40").text,
    "tcpserver: status: 1/40",
  );
});

test("a line without a stamp", () => {
  for (const line of [
    "",
    "@",
    "@4000",
    "new msg 5",
    "@400000006a96158 x",
    "Foo 24 15:04:05 a b: c",
  ]) {
    const { ms, text } = read(line);
    assert.ok(Number.isNaN(ms), line);
    assert.equal(text, line);
  }
});
