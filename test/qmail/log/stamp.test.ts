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
const TAI = formatTai64n(AT + 250);
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
  [`Nov  3 05:04:05 mail qmail: ${TAI} new msg 5`, AT + 250, "qmail"],
  [`2024-11-24T17:00:00Z mail qmail[77]: ${TAI} new msg 5`, AT + 250, "qmail"],
  // The journal's own stamp is before what journalctl gives us.
  [`${formatTai64n(AT + 9000)} ${TAI} new msg 5`, AT + 250, ""],
  [`${formatTai64n(AT + 9000)} 1732460645.250000 new msg 5`, AT + 250, ""],
  ["<22>Nov  3 05:04:05 mail qmail: 1732460645.250000 new msg 5", AT + 250, "qmail"],
  ["<22>1 2024-11-24T15:04:05.25Z mail qmail 77 - - new msg 5", AT + 250, "qmail"],
  ["1 2024-11-24T15:04:05.25Z mail qmail - ID47 - \xef\xbb\xbfnew msg 5", AT + 250, "qmail"],
  [
    '<22>1 2024-11-24T15:04:05.25Z mail qmail 77 - [a@1 b="c\\]d"][e@2] new msg 5',
    AT + 250,
    "qmail",
  ],
  [`<22>1 2024-11-24T17:00:00Z mail qmail 77 - - ${TAI} new msg 5`, AT + 250, "qmail"],
  [`mail-1  | ${TAI} new msg 5`, AT + 250, ""],
  [`\x1b[36mmail_1  |\x1b[0m ${TAI} new msg 5`, AT + 250, ""],
  ["\x1b[36mmail-1  | \x1b[0m1732460645.25 new msg 5", AT + 250, ""],
  ["mail-1  | 2024-11-24T15:04:05.250000000Z new msg 5", AT + 250, ""],
  [`mail-1  | 2024-11-24T17:00:00.250000000Z ${TAI} new msg 5`, AT + 250, ""],
  ["2024-11-24T15:04:05.250000000Z stdout F new msg 5", AT + 250, ""],
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
  // Nor is a stamp a host.
  assert.deepEqual(read(`2024-11-24T15:04:05Z ${TAI} status: local 0/10 remote 0/20`), {
    ms: AT + 250,
    text: "status: local 0/10 remote 0/20",
    tag: "",
    continued: false,
  });
  assert.equal(read("mail-1  | new msg 5").text, "new msg 5");
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
