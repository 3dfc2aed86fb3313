/** The lines of the SMTP service's log: what is written can be read back. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { accepted, broken, parseSmtpdLine, refused } from "../../../qmail/smtpd/log.ts";

test("a line has one word per field and is read back", () => {
  const text = accepted(7, {
    ip: "192.0.2.1",
    helo: "a b",
    from: "x@example.com",
    rcpts: 2,
    bytes: 99,
    qp: 1234,
  });
  assert.equal(
    text,
    "smtpd 7: accepted qp=1234 ip=192.0.2.1 helo=a_b from=<x@example.com> rcpts=2 bytes=99\n",
  );
  const fields = { qp: "1234", ip: "192.0.2.1", helo: "a_b", from: "<x@example.com>" };
  assert.deepEqual(parseSmtpdLine(text.trimEnd()), {
    session: 7,
    event: "accepted",
    fields: { ...fields, rcpts: "2", bytes: "99" },
  });
});

test("nothing that a client says adds a word or a line", () => {
  const any = fc.string({ unit: "binary", maxLength: 60 });
  fc.assert(
    fc.property(any, any, any, (from, rcpt, reply) => {
      const text = refused(1, { ip: "::1", from, rcpt, reply });
      assert.match(text, /^[ -~]+\n$/);
      const parsed = parseSmtpdLine(text.trimEnd());
      assert.deepEqual(Object.keys(parsed?.fields ?? {}), ["ip", "from", "rcpt", "reply"]);
    }),
  );
});

test("other lines are none of ours", () => {
  assert.equal(parseSmtpdLine("new msg 5"), null);
  const lost = parseSmtpdLine(broken(3, "192.0.2.1", "timeout").trimEnd());
  assert.equal(lost?.event, "broken");
});
