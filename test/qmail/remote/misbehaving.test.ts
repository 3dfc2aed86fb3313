/** Servers that do not do as they should: the table in _misbehaving.ts, and what such a server is sent. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { deliveryReport, remote } from "../../../qmail/remote/remote.ts";
import { bufferMessage } from "../../../qmail/spawn/message.ts";
import { logged } from "./_logged.ts";
import { CASES, MESSAGE } from "./_misbehaving.ts";
import { farServer, near } from "./_server.ts";

for (const [name, its] of Object.entries(CASES)) {
  test(`a server that ${name}`, async () => {
    await using far = await farServer(its.server);
    using here = near({
      smtproutes: `:127.0.0.1:${far.port}`,
      remoteoptions: `:${its.options ?? ""}`,
      timeoutremote: its.timeout ?? "5",
      timeouttotal: its.total ?? "60",
    });
    const outcome = await remote(here.config, {
      host: "far.test",
      sender: its.sender ?? "me@near.test",
      recipients: [its.recipient ?? "you@far.test"],
      message: bufferMessage(Buffer.from(its.message ?? MESSAGE, "latin1")),
    });
    const { status, text } = deliveryReport(outcome);
    assert.equal(status + text, its.report);
    assert.equal(logged(status + text), `delivery 1: ${its.line}\n`);
  });
}

test("what is sent is what SMTP wants", async () => {
  await using far = await farServer({
    EHLO: "250-far.test\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n250 SMTPUTF8",
  });
  using here = near({ smtproutes: `:127.0.0.1:${far.port}` });
  const message = bufferMessage(Buffer.from(MESSAGE));
  const recipients = ["you@far.test", "two words@far.test", "j\xc3\xbc@far.test"];
  await remote(here.config, { host: "far.test", sender: "", recipients, message });
  assert.deepEqual(far.commands.slice(0, 6), [
    "EHLO near.test",
    `MAIL FROM:<> SIZE=${MESSAGE.length} BODY=8BITMIME SMTPUTF8`,
    "RCPT TO:<you@far.test>",
    'RCPT TO:<"two words"@far.test>',
    'RCPT TO:<"j\xc3\xbc"@far.test>',
    "DATA",
  ]);
  assert.deepEqual(far.messages, ["Subject: test\r\n\r\nhello\r\n..dot\r\n"]);
});

test("without SMTPUTF8 the recipients that need it are refused, and the others get the message", async () => {
  for (const EHLO of ["250 far.test", "250-far.test\r\n250 PIPELINING"]) {
    await using far = await farServer({ EHLO });
    using here = near({ smtproutes: `:127.0.0.1:${far.port}` });
    const message = bufferMessage(Buffer.from(MESSAGE));
    const recipients = ["j\xc3\xbc@far.test", "you@far.test"];
    const { report, ...each } = await remote(here.config, {
      host: "far.test",
      sender: "me@near.test",
      recipients,
      message,
    });
    assert.equal(report.status, "K");
    assert.deepEqual(
      each.recipients.map(({ status }) => status),
      ["h", "r"],
    );
    assert.match(
      each.recipients[0]?.text ?? "",
      /^127\.0\.0\.1 takes no addresses .*\(#5\.6\.7\)\n$/,
    );
    assert.deepEqual(far.commands.slice(1, 4), [
      "MAIL FROM:<me@near.test>",
      "RCPT TO:<you@far.test>",
      "DATA",
    ]);
  }
});

for (const address of [
  "x@far.test\r\nRCPT TO:<y@far.test>",
  "x@far.test>",
  "x@far test",
  "v\nRSET\n@far.test",
  "a\rb@far.test",
  "a\0b@far.test",
  "a\tb@far.test",
  "a\x7fb@far.test",
  "a\x1bb",
]) {
  test(`an address that is a command too is not said: ${JSON.stringify(address)}`, async () => {
    await using far = await farServer();
    const port = far.port;
    for (const control of [
      { smtproutes: `:127.0.0.1:${port}` },
      { qmtproutes: `:127.0.0.1:${port}` },
    ]) {
      using here = near(control);
      const message = bufferMessage(Buffer.from(MESSAGE));
      for (const request of [
        { sender: address, recipients: ["you@far.test"] },
        { sender: "", recipients: [address] },
      ]) {
        const { report } = await remote(here.config, { host: "far.test", message, ...request });
        assert.equal(report.status, "D");
        assert.match(report.text, /#5\.1\.3/);
      }
    }
    assert.equal(far.connections, 0);
  });
}
