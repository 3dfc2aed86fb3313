import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { findMessageId, MessageIdWatch, sameMessageId } from "../../qmail/message-id.ts";

const CASES: readonly (readonly [string, string | null])[] = [
  ["From: a\nMessage-ID: <1@x>\nTo: b", "<1@x>"],
  ["MESSAGE-Id:<1@x>", "<1@x>"],
  ["Message-ID:\n <1@x>\nTo: b", "<1@x>"],
  ["Message-ID: (made here) <1@x> (by me)", "<1@x>"],
  ["Message-ID: no brackets", "no brackets"],
  ["Message-ID:\nTo: <1@x>", null],
  ["Resent-Message-ID: <1@x>", null],
  ["From: a\n Message-ID: <1@x>", null],
  ["", null],
  [`Message-ID: <${"x".repeat(300)}@y>`, `<${"x".repeat(199)}`],
];

for (const [header, id] of CASES) {
  test(`in ${JSON.stringify(header.slice(0, 50))}`, () => assert.equal(findMessageId(header), id));
}

const HEADER = "Received: x\nmessage-id: <1@x>\nSubject: y";

test("a message cut anywhere; what stands behind the header does not count", () => {
  const message = Buffer.from(`${HEADER}\n\nMessage-ID: <2@x>\n`);
  const cuts = fc.array(fc.integer({ min: 0, max: message.length }), { maxLength: 5 });
  fc.assert(
    fc.property(cuts, (at) => {
      const watch = new MessageIdWatch();
      const ends = [...at.sort((a, b) => a - b), message.length];
      ends.forEach((end, n) => {
        watch.push(message.subarray(ends[n - 1] ?? 0, end));
      });
      assert.equal(watch.id, "<1@x>");
    }),
  );
});

test("a body without a header has none, wherever it is cut", () => {
  const message = Buffer.from("\nMessage-ID: <2@x>\n\n");
  for (let cut = 0; cut <= message.length; cut++) {
    const watch = new MessageIdWatch();
    watch.push(message.subarray(0, cut));
    watch.push(message.subarray(cut));
    assert.equal(watch.id, null);
  }
});

test("a header without an end is looked at so far and no further", () => {
  const watch = new MessageIdWatch();
  for (let n = 0; n < 100; n++) watch.push(Buffer.from(`X: ${"y".repeat(1000)}\n`));
  watch.push(Buffer.from("Message-ID: <1@x>\n\n"));
  assert.equal(watch.id, null);
});

test("brackets, case, length and what a log replaces make no other message", () => {
  const long = `${"x".repeat(300)}@y`;
  assert.ok(sameMessageId("<A b@X>", "a_b@x"));
  assert.ok(sameMessageId(findMessageId(`Message-ID: <${long}>`) ?? "", long));
  assert.ok(!sameMessageId("<1@x>", "<2@x>"));
});
