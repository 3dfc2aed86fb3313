/** Servers that do not do as they should, each with the report that it must lead to. */

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { test } from "node:test";
import { deliveryReport, remote } from "../../../qmail/remote/remote.ts";
import { bufferMessage } from "../../../qmail/spawn/message.ts";
import { type Behaviour, farServer, near } from "./_server.ts";

const MESSAGE = "Subject: test\n\nhello\n.dot\n";
const DIED = "Connected to 127.0.0.1 but connection died. (#4.4.2)\n";
const MAYBE = "Connected to 127.0.0.1 but connection died. Possible duplicate! (#4.4.2)\n";

const close = (socket: Socket) => socket.destroy();
const silence = () => {};

interface Case {
  readonly server: Behaviour;
  /** Status and text. */
  readonly report: string;
  readonly message?: string;
  readonly sender?: string;
  readonly options?: string;
  /** Seconds that an answer may take. */
  readonly timeout?: string;
}

const pipelining = "250-far.test\r\n250 PIPELINING";

const CASES: Readonly<Record<string, Case>> = {
  "does everything right": {
    server: {},
    report: "K127.0.0.1 accepted message.\nRemote host said: 250 taken\n",
  },
  "answers in many lines": {
    server: { end: "250-it is\r\n250-all\r\n250 well" },
    report: "K127.0.0.1 accepted message.\nRemote host said: 250-it is\n250-all\n250 well\n",
  },
  "ends lines with a bare LF": {
    server: {
      greeting: (socket) => void socket.write("220 hi\n"),
      MAIL: (socket) => void socket.write("250-a\n250 b\n"),
    },
    report: "K127.0.0.1 accepted message.\nRemote host said: 250 taken\n",
  },
  "greets byte by byte": {
    server: {
      greeting: (socket) => {
        const bytes = [..."220 slow\r\n"];
        const timer = setInterval(() => {
          const byte = bytes.shift();
          if (byte) socket.write(byte);
          else clearInterval(timer);
        }, 5);
      },
    },
    report: "K127.0.0.1 accepted message.\nRemote host said: 250 taken\n",
  },
  "closes at once": { server: { greeting: close }, report: `Z${DIED}` },
  "says nothing": { server: { greeting: silence }, report: `Z${DIED}`, timeout: "1" },
  "sends a byte now and then": {
    server: {
      greeting: (socket) => {
        const timer = setInterval(() => socket.write("2"), 300);
        socket.on("close", () => clearInterval(timer));
      },
    },
    report: `Z${DIED}`,
    timeout: "1",
  },
  "greets with 421": {
    server: { greeting: "421 too busy" },
    report: "ZConnected to 127.0.0.1 but greeting failed.\nRemote host said: 421 too busy\n",
  },
  "greets with 554": {
    server: { greeting: "554 go away" },
    report: "ZConnected to 127.0.0.1 but greeting failed.\nRemote host said: 554 go away\n",
  },
  "speaks another language": {
    server: { greeting: "SSH-2.0-OpenSSH_9.2" },
    report: "ZConnected to 127.0.0.1 but greeting failed.\nRemote host said: SSH-2.0-OpenSSH_9.2\n",
  },
  "knows HELO only": {
    server: { EHLO: "502 what?" },
    report: "K127.0.0.1 accepted message.\nRemote host said: 250 taken\n",
  },
  "does not like our name": {
    server: { EHLO: "501 no", HELO: "501 no" },
    report: "ZConnected to 127.0.0.1 but my name was rejected.\nRemote host said: 501 no\n",
  },
  "refuses the sender for now": {
    server: { MAIL: "451 later" },
    report: "ZConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 451 later\n",
  },
  "refuses the sender": {
    server: { MAIL: "550 never" },
    report: "DConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 550 never\n",
  },
  "refuses the recipient for now": {
    server: { RCPT: "450 greylisted" },
    report:
      "Z127.0.0.1 does not like recipient.\nRemote host said: 450 greylisted\nGiving up on 127.0.0.1.\n",
  },
  "refuses the recipient": {
    server: { RCPT: "550 nobody" },
    report:
      "D127.0.0.1 does not like recipient.\nRemote host said: 550 nobody\nGiving up on 127.0.0.1.\n",
  },
  "says 421 in the middle": {
    server: { RCPT: (socket) => void socket.end("421 shutting down\r\n") },
    report:
      "Z127.0.0.1 does not like recipient.\nRemote host said: 421 shutting down\nGiving up on 127.0.0.1.\n",
  },
  "refuses DATA for now": {
    server: { DATA: "451 disk" },
    report: "Z127.0.0.1 failed on DATA command.\nRemote host said: 451 disk\n",
  },
  "refuses DATA": {
    server: { DATA: "554 no" },
    report: "D127.0.0.1 failed on DATA command.\nRemote host said: 554 no\n",
  },
  "answers DATA with 250": {
    server: { DATA: "250 ok" },
    report: "Z127.0.0.1 failed on DATA command.\nRemote host said: 250 ok\n",
  },
  "refuses the message for now": {
    server: { end: "452 full" },
    report: "Z127.0.0.1 failed after I sent the message.\nRemote host said: 452 full\n",
  },
  "refuses the message": {
    server: { end: "554 spam" },
    report: "D127.0.0.1 failed after I sent the message.\nRemote host said: 554 spam\n",
  },
  "hangs up after MAIL": { server: { MAIL: close }, report: `Z${DIED}` },
  "hangs up after the final dot": { server: { end: close }, report: `Z${MAYBE}` },
  "says nothing after the final dot": {
    server: { end: silence },
    report: `Z${MAYBE}`,
    timeout: "1",
  },
  "hangs up with a reason while it gets the message": {
    server: { DATA: (socket) => void socket.end("354 go\r\n552 too much\r\n") },
    message: `Subject: x\n\n${"0123456789\n".repeat(400_000)}`,
    report: "D127.0.0.1 failed after I sent the message.\nRemote host said: 552 too much\n",
  },
  "talks without end": {
    server: {
      MAIL: (socket) => {
        const more = () => {
          while (!socket.destroyed && socket.write("250-x\r\n".repeat(1000)));
        };
        socket.on("drain", more);
        more();
      },
    },
    report: `Z${DIED}`,
  },
  "has a line without end": {
    server: { greeting: (socket) => void socket.write(`220 ${"x".repeat(2 << 20)}`) },
    report: `Z${DIED}`,
  },
  "sends NUL in a reply": {
    server: { RCPT: "550 a\0b" },
    report:
      "D127.0.0.1 does not like recipient.\nRemote host said: 550 a?b\nGiving up on 127.0.0.1.\n",
  },
  "answers nonsense": {
    server: { MAIL: "ok" },
    report: "ZConnected to 127.0.0.1 but sender was rejected.\nRemote host said: ok\n",
  },
  "takes less than the message has": {
    server: { EHLO: "250-far.test\r\n250 SIZE 10" },
    report: `D127.0.0.1 takes no message larger than 10 bytes, and this has ${MESSAGE.length}. (#5.3.4)\n`,
  },
  "lies about SIZE": {
    server: { EHLO: "250-far.test\r\n250 SIZE 1000000", MAIL: "552 too large all the same" },
    report:
      "DConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 552 too large all the same\n",
  },
  "has a SIZE that is no number": {
    server: { EHLO: "250-far.test\r\n250 SIZE huge" },
    report: "K127.0.0.1 accepted message.\nRemote host said: 250 taken\n",
  },
  "has no 8BITMIME, and is sent it all the same": {
    server: {},
    message: "Subject: \xfc\n\n\xe4\n",
    report: "K127.0.0.1 accepted message.\nRemote host said: 250 taken\n",
  },
  "has no 8BITMIME, where that counts": {
    server: {},
    message: "Subject: \xfc\n\n\xe4\n",
    options: "8bit=refuse",
    report: "D127.0.0.1 takes no 8-bit text (no 8BITMIME). (#5.6.3)\n",
  },
  "has no SMTPUTF8": {
    server: {},
    sender: "j\xc3\xbcrgen@near.test",
    report: "D127.0.0.1 takes no addresses that are not ASCII (no SMTPUTF8). (#5.6.7)\n",
  },
  "pipelines and refuses the sender, yet takes DATA": {
    server: { EHLO: pipelining, MAIL: "550 never" },
    report: "DConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 550 never\n",
  },
  "pipelines and refuses the recipient, yet takes DATA": {
    server: { EHLO: pipelining, RCPT: "550 nobody" },
    report:
      "D127.0.0.1 does not like recipient.\nRemote host said: 550 nobody\nGiving up on 127.0.0.1.\n",
  },
  "pipelines and hangs up in between": {
    server: { EHLO: pipelining, RCPT: close },
    report: `Z${DIED}`,
  },
  "offers no TLS where it is required": {
    server: {},
    options: "tls=require",
    report: "ZConnected to 127.0.0.1 but TLS failed: the server does not offer it. (#4.7.5)\n",
  },
  "refuses STARTTLS": {
    server: { EHLO: "250-far.test\r\n250 STARTTLS", STARTTLS: "454 no" },
    report: "K127.0.0.1 accepted message.\nRemote host said: 250 taken\n",
  },
  "refuses STARTTLS where it is required": {
    server: { EHLO: "250-far.test\r\n250 STARTTLS", STARTTLS: "454 no" },
    options: "tls=require",
    report: "ZConnected to 127.0.0.1 but TLS failed: the server refused it (454). (#4.7.5)\n",
  },
};

for (const [
  name,
  { server, report, message, sender, options = "", timeout = "5" },
] of Object.entries(CASES)) {
  test(`a server that ${name}`, async () => {
    await using far = await farServer(server);
    using here = near({
      smtproutes: `:127.0.0.1:${far.port}`,
      remoteoptions: `:${options}`,
      timeoutremote: timeout,
    });
    const outcome = await remote(here.config, {
      host: "far.test",
      sender: sender ?? "me@near.test",
      recipients: ["you@far.test"],
      message: bufferMessage(Buffer.from(message ?? MESSAGE, "latin1")),
    });
    const { status, text } = deliveryReport(outcome);
    assert.equal(status + text, report);
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

for (const address of ["x@far.test\r\nRCPT TO:<y@far.test>", "x@far.test>", "x@far test"]) {
  test(`an address that is a command too is not said: ${JSON.stringify(address)}`, async () => {
    await using far = await farServer();
    using here = near({ smtproutes: `:127.0.0.1:${far.port}` });
    const message = bufferMessage(Buffer.from(MESSAGE));
    for (const request of [
      { sender: address, recipients: ["you@far.test"] },
      { sender: "", recipients: [address] },
    ]) {
      const { report } = await remote(here.config, { host: "far.test", message, ...request });
      assert.equal(report.status, "D");
      assert.match(report.text, /#5\.1\.3/);
    }
    assert.equal(far.connections, 0);
  });
}
