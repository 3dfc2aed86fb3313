import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as log from "../../../qmail/smtpd/log.ts";

const PEER = { id: "4711.3", ip: "192.0.2.1", tls: null, user: null };

test("the lines have the form that is written down", () => {
  const peer = { ...PEER, tls: "TLSv1.3", user: "joe" };
  const message = { from: "a@b", to: ["c@d", "e f@g"], bytes: 815 };
  assert.equal(
    log.accepted(peer, { ...message, helo: "mx.test", qp: 4712, msgid: "<1 2@c>" }),
    "smtpd: 4711.3 event=accepted ip=192.0.2.1 tls=TLSv1.3 user=joe helo=mx.test from=<a@b> " +
      "to=<c@d>,<e%20f@g> rcpts=2 bytes=815 qp=4712 msgid=<1%202@c>\n",
  );
  assert.equal(
    log.login(peer, { mechanism: "PLAIN", user: "joe", status: "refused" }),
    "smtpd: 4711.3 event=login ip=192.0.2.1 tls=TLSv1.3 user=joe mechanism=PLAIN verdict=refused\n",
  );
  assert.equal(
    log.refusedAddress(PEER, { from: "", to: "x@y", reply: "553 no (#5.7.1)\r\n" }),
    "smtpd: 4711.3 event=refused-recipient ip=192.0.2.1 from=<> to=<x@y> reply=553 no (#5.7.1)\n",
  );
  assert.equal(
    log.ended(PEER, {
      why: "disconnected",
      detail: "tls: no shared cipher",
      messages: 0,
      refusals: 3,
      seconds: 1,
    }),
    "smtpd: 4711.3 event=ended ip=192.0.2.1 why=disconnected detail=tls:%20no%20shared%20cipher " +
      "messages=0 seconds=1.000\n",
  );
});

test("a message to many names some and counts all", () => {
  const to = Array.from({ length: 1000 }, (_, at) => `u${at}@d`);
  const text = log.refusedMessage(PEER, { from: "a@b", to, bytes: 1, reply: "554 no\r\n" });
  assert.ok(text.length < 500);
  assert.match(text, /,<u19@d> rcpts=1000 /);
});

const byteString = fc
  .uint8Array({ maxLength: 60 })
  .map((bytes) => Buffer.from(bytes).toString("latin1"));

test("what is written is read back, whatever is in it", () => {
  fc.assert(
    fc.property(byteString, byteString, byteString, byteString, (ip, user, address, text) => {
      const reply = text.trimEnd();
      const peer = { id: "1.1", ip, tls: null, user };
      const line = log.refusedAddress(peer, { from: address, to: address, reply });
      assert.match(line, /^[ -~]*\n$/);
      assert.deepEqual(log.parseSmtpdLine(line.slice(0, -1)), {
        type: "session",
        id: "1.1",
        event: "refused-recipient",
        fields: { ip, user, from: `<${address}>`, to: `<${address}>`, reply },
      });
      assert.deepEqual(log.parseSmtpdLine(log.warning(text).slice(0, -1)), {
        type: "warning",
        text,
      });
    }),
  );
});

test("other lines are none of ours", () => {
  for (const text of ["", "new msg 4", "smtpd: 1.1", "smtpd: 1.1 ip=x", "smtpd: 1.1 event=a B=c"]) {
    assert.equal(log.parseSmtpdLine(text), null);
  }
});

test("a log that nobody reads loses lines, counted, before it takes memory", async () => {
  const written: string[] = [];
  const output = { writableLength: 0, write: (text: string) => written.push(text) > 0 };
  const batch = new log.LogBatch(output);
  batch.add("first\n");
  batch.flush();
  output.writableLength = log.BACKLOG_MAX + 1;
  for (let n = 0; n < 1000; n++) batch.add("lost\n");
  batch.flush();
  output.writableLength = 0;
  batch.add("last\n");
  batch.flush();
  assert.deepEqual(written, [
    "first\n",
    "smtpd: warning: 1000 lines are lost: nobody has read them\nlast\n",
  ]);
});
