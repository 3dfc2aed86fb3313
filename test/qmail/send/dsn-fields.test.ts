import assert from "node:assert/strict";
import { test } from "node:test";
import { parseParagraph, recipientFields, statusCode } from "../../../qmail/send/dsn-fields.ts";

/** A report in qmail's words → the fields behind "Action: failed". */
const REPORTS: Readonly<Record<string, readonly string[]>> = {
  "192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 nobody here\nGiving up on 192.0.2.1.\n":
    [
      "Status: 5.1.1",
      "Remote-MTA: dns; [192.0.2.1]",
      "Diagnostic-Code: smtp; 550 5.1.1 nobody here",
    ],
  "192.0.2.1 does not like recipient.\nRemote host said: 550-5.7.1 no\n550-5.7.1 never\n550 5.7.1 sorry\nGiving up on 192.0.2.1.\n":
    [
      "Status: 5.7.1",
      "Remote-MTA: dns; [192.0.2.1]",
      "Diagnostic-Code: smtp; 550-5.7.1 no\n 550-5.7.1 never\n 550 5.7.1 sorry",
    ],
  "192.0.2.1 failed after I sent the message.\nRemote host said: 554 spam\n": [
    "Status: 5.0.0",
    "Remote-MTA: dns; [192.0.2.1]",
    "Diagnostic-Code: smtp; 554 spam",
  ],
  // As qmail says it on the other side.
  "Connected to 2001:db8::1 but sender was rejected.\nRemote host said: 553 sorry, that domain isn't allowed (#5.7.1)\n":
    [
      "Status: 5.7.1",
      "Remote-MTA: dns; [IPv6:2001:db8::1]",
      "Diagnostic-Code: smtp; 553 sorry, that domain isn't allowed (#5.7.1)",
    ],
  // Two hosts' words: the first decided, and others of the message were taken.
  "192.0.2.1 does not like recipient.\nRemote host said: 550 no\n192.0.2.1 accepted message.\nRemote host said: 250 2.0.0 ok\n":
    ["Status: 5.0.0", "Remote-MTA: dns; [192.0.2.1]", "Diagnostic-Code: smtp; 550 no"],
  "192.0.2.1 takes no 8-bit text (no 8BITMIME). (#5.6.3)\n": [
    "Status: 5.6.3",
    "Remote-MTA: dns; [192.0.2.1]",
    "Diagnostic-Code: X-Qmail; 192.0.2.1 takes no 8-bit text (no 8BITMIME). (#5.6.3)",
  ],
  "Connected to 192.0.2.1 but connection died. (#4.4.2)\nI'm not going to try again; this message has been in the queue too long.\n":
    [
      "Status: 4.4.2",
      "Remote-MTA: dns; [192.0.2.1]",
      "Diagnostic-Code: X-Qmail; Connected to 192.0.2.1 but connection died. (#4.4.2)\n" +
        " I'm not going to try again; this message has been in the queue too long.",
    ],
  "192.0.2.1 does not like recipient.\nRemote host said: 450 greylisted\nGiving up on 192.0.2.1.\nI'm not going to try again; this message has been in the queue too long.\n":
    ["Status: 4.0.0", "Remote-MTA: dns; [192.0.2.1]", "Diagnostic-Code: smtp; 450 greylisted"],
  "Connected to 192.0.2.1 but greeting failed.\nRemote host said: SSH-2.0-x\nI'm not going to try again; this message has been in the queue too long.\n":
    [
      "Status: 5.0.0",
      "Remote-MTA: dns; [192.0.2.1]",
      "Diagnostic-Code: X-Qmail; Connected to 192.0.2.1 but greeting failed.\n Remote host said: SSH-2.0-x\n" +
        " I'm not going to try again; this message has been in the queue too long.",
    ],
  "Sorry, no mailbox here by that name. (#5.1.1)\n": [
    "Status: 5.1.1",
    "Diagnostic-Code: X-Qmail; Sorry, no mailbox here by that name. (#5.1.1)",
  ],
  "Sorry, I couldn't find any host named nowhere.test. (#5.1.2)\n": [
    "Status: 5.1.2",
    "Diagnostic-Code: X-Qmail; Sorry, I couldn't find any host named nowhere.test. (#5.1.2)",
  ],
  "a program said\tthis \xff\n": [
    "Status: 5.0.0",
    "Diagnostic-Code: X-Qmail; a program said?this ?",
  ],
  "": ["Status: 5.0.0", "Diagnostic-Code: X-Qmail; "],
};

for (const [report, expected] of Object.entries(REPORTS)) {
  test(`fields of ${JSON.stringify(report)}`, () => {
    const failure = parseParagraph(`<joe@far.test>:\n${report}`);
    assert.ok(failure);
    const fields = ["Final-Recipient: rfc822; joe@far.test", "Action: failed", ...expected];
    assert.equal(recipientFields(failure), fields.map((field) => `${field}\n`).join(""));
  });
}

test("an address in UTF-8 is written in ASCII, what is odd as what can be read", () => {
  const final = (recipient: string) => recipientFields({ recipient, report: "" }).split("\n")[0];
  assert.equal(
    final("j\xc3\xbc+1@b\xc3\xbc.test"),
    "Final-Recipient: utf-8; j\\x{FC}\\x{2B}1@b\\x{FC}.test",
  );
  assert.equal(final("two words@x.test"), "Final-Recipient: rfc822; two words@x.test");
  assert.equal(final("a\tb@x"), "Final-Recipient: rfc822; a?b@x");
});

test("a line and a reply without measure are cut", () => {
  const long = `Remote host said: 550-${"x".repeat(5000)}\n${"550-y\n".repeat(500)}550 z\n`;
  const fields = recipientFields({ recipient: "a@b", report: long });
  assert.ok(fields.length < 2000);
  assert.ok(fields.split("\n").every((line) => line.length < 998));
});

test("statusCode() knows enhanced codes from other numbers", () => {
  const said = (text: string) => statusCode(`Remote host said: ${text}\n`);
  assert.equal(said("550 5.1.10 null MX"), "5.1.10");
  assert.equal(said("550 5.1.1.1 is no code"), "5.0.0");
  assert.equal(said("550 10.0.0.1 is blocked"), "5.0.0");
  assert.equal(said("550 2.0.0 confused"), "5.0.0");
  assert.equal(said("421 4.7.0 later"), "4.7.0");
});

test("parseParagraph() takes what names a recipient", () => {
  assert.deepEqual(parseParagraph("<a>:b@x>:\nno\n"), { recipient: "a>:b@x", report: "no\n" });
  assert.deepEqual(parseParagraph("\n<a@x>:\n"), { recipient: "a@x", report: "" });
  assert.equal(parseParagraph("no recipient here\n"), null);
});
