/** Servers that say more than they are asked: no answer counts for what it does not answer. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { STEADY_CLOCK } from "../../../qmail/remote/gate.ts";
import { deliveryReport, remote } from "../../../qmail/remote/remote.ts";
import { RemoteWorker } from "../../../qmail/remote/remote-worker.ts";
import { bufferMessage } from "../../../qmail/spawn/message.ts";
import { type Behaviour, farServer, near } from "./_server.ts";

const MESSAGE = bufferMessage(Buffer.from("Subject: x\n\ny\n"));
const LONG = bufferMessage(Buffer.from(`Subject: x\n\n${"0123456789\n".repeat(400_000)}`));
const RECIPIENTS = ["a@far.test", "bad@far.test", "c@far.test"];
const PIPELINING = { EHLO: "250-far.test\r\n250 PIPELINING" };

const refusing = (line: string) => (line.includes("bad@") ? "550 nobody" : "250 ok");
async function reports(server: Behaviour, { recipients = RECIPIENTS, message = MESSAGE } = {}) {
  await using far = await farServer({ RCPT: (_, line) => refusing(line), ...server });
  using here = near({ smtproutes: `:127.0.0.1:${far.port}`, timeoutremote: "2" });
  const outcome = await remote(here.config, { host: "far.test", sender: "", recipients, message });
  return recipients.map((_, at) => {
    const { status, text } = deliveryReport(outcome, at);
    return { status, text };
  });
}

const STATUS = { all: ["Z", "Z", "Z"], own: ["K", "D", "K"], none: ["D", "D", "D"] };

/** The statuses of good, bad, good; `text` of the first. */
const CASES: Readonly<
  Record<
    string,
    { server: Behaviour; expected: readonly string[]; text?: RegExp; message?: typeof MESSAGE }
  >
> = {
  "answers each in its place": { server: {}, expected: STATUS.own },
  "answers MAIL twice": {
    server: { MAIL: "250 ok\r\n250 ok" },
    expected: STATUS.all,
    text: /^Connected to 127\.0\.0\.1 but it said more than it was asked\. \(#4\.5\.0\)\n$/,
  },
  "answers MAIL twice, with a refusal at last": {
    server: { MAIL: "250 ok\r\n550 no" },
    expected: STATUS.all,
  },
  "answers a recipient twice": {
    server: { RCPT: (_, line) => `${refusing(line)}\r\n${refusing(line)}` },
    expected: STATUS.all,
  },
  "answers the bad recipient twice": {
    server: {
      RCPT: (_, line) => (line.includes("bad@") ? "550 nobody\r\n550 nobody" : "250 ok"),
    },
    expected: STATUS.all,
  },
  "greets twice": { server: { greeting: "220 hi\r\n220 hi" }, expected: STATUS.all },
  "answers its name twice": { server: { EHLO: "250 hi\r\n250 hi" }, expected: STATUS.all },
  "takes the message before it has it": {
    server: { DATA: "354 go\r\n250 taken", end: "554 spam" },
    expected: STATUS.all,
  },
  "takes a long message before it has it": {
    server: { DATA: "354 go\r\n250 taken", end: "554 spam" },
    message: LONG,
    expected: STATUS.all,
  },
  "tells to go ahead twice and refuses the message": {
    server: { DATA: "354 go\r\n354 go", end: "550 spam" },
    expected: STATUS.all,
  },
  "tells to go ahead once more when it has the message, and refuses it": {
    server: { end: "354 go\r\n550 spam" },
    expected: STATUS.all,
    text: /Possible duplicate! \(#4\.5\.0\)\n$/,
  },
  "takes DATA for a message": { server: { DATA: "250 ok" }, expected: STATUS.none },
  "refuses the message before it has it, and waits": {
    server: { DATA: "354 go\r\n554 spam", end: () => {} },
    expected: STATUS.all,
  },
  "refuses the message before it has it, and goes": {
    server: { DATA: (socket) => void socket.end("354 go\r\n554 spam\r\n") },
    expected: STATUS.none,
    text: /^127\.0\.0\.1 failed after I sent the message\.\nRemote host said: 554 spam\n$/,
  },
  "takes the message twice": {
    server: { end: "250 taken\r\n250 taken" },
    expected: STATUS.own,
  },
  "takes the message and refuses it": {
    server: { end: "250 taken\r\n554 spam" },
    expected: STATUS.all,
    text: /Possible duplicate! \(#4\.5\.0\)\n$/,
  },
  "refuses the message and takes it, a moment later": {
    server: { end: "554 spam", QUIT: "250 taken\r\n221 bye" },
    expected: STATUS.all,
    text: /Possible duplicate! \(#4\.5\.0\)\n$/,
  },
  "refuses the message and says that it goes": {
    server: { end: "554 spam\r\n421 bye" },
    expected: STATUS.none,
  },
  "refuses the message and says goodbye in its own words": {
    server: {
      end: "554 spam",
      QUIT: (socket) => void socket.end("250 so long\r\n"),
    },
    expected: STATUS.none,
  },
  "refuses the message and never says goodbye": {
    server: { end: "554 spam", QUIT: () => {} },
    expected: STATUS.none,
  },
  "takes the message and says that it goes": {
    server: { end: "250 taken\r\n421 bye" },
    expected: STATUS.own,
  },
};

for (const [name, { server, expected, text, message = MESSAGE }] of Object.entries(CASES)) {
  for (const [how, first] of [
    ["", {}],
    [" (pipelining)", PIPELINING],
  ] as const) {
    if (server.EHLO && how !== "") continue;
    test(`a server that ${name}${how}`, async () => {
      const found = await reports({ ...first, ...server }, { message });
      const all = found.map((report) => report.text).join("");
      assert.deepEqual(
        found.map(({ status }) => status),
        expected,
        all,
      );
      if (text) assert.match(found[0]?.text ?? "", text);
    });
  }
}

test("a server that has said a word too many, and is one answer late from then on", async () => {
  for (const extra of ["250 ok", "550 no"]) {
    const late: string[] = [];
    const answer = (text: string) => {
      late.push(text);
      return late.shift() as string;
    };
    const found = await reports({
      MAIL: () => answer("250 ok"),
      RCPT: (_, line) => {
        if (line.includes("a@")) late.push(extra);
        return answer(refusing(line));
      },
      DATA: () => answer("354 go"),
      QUIT: () => [...late.splice(0), "221 bye"].join("\r\n"),
    });
    assert.deepEqual(
      found.map(({ status }) => status),
      STATUS.all,
    );
  }
});

test("a server that speaks up between two messages is called anew for the second", async () => {
  const spoken = Promise.withResolvers<void>();
  await using far = await farServer({
    end: (socket) => {
      socket.write("250 taken\r\n");
      socket.on("close", () => spoken.resolve());
      setTimeout(() => socket.write("554 spam\r\n"), 30);
    },
  });
  using here = near({ smtproutes: `:127.0.0.1:${far.port}` });
  const worker = new RemoteWorker(() => here.config, STEADY_CLOCK, { hold() {}, free() {} });
  const deliver = async (messid: string) => {
    const order = { messid, made: "", host: "far.test", sender: "", message: MESSAGE };
    return (await worker.deliver({ ...order, recipient: "you@far.test" })).status;
  };
  assert.equal(await deliver("1"), "K");
  await spoken.promise;
  assert.equal(await deliver("2"), "K");
  assert.equal(far.connections, 2);
});

/** A QMTP server that reads a package of so many bytes, and says `answers`, the first part of them before it has it. */
async function qmtp(answers: string, early = "") {
  const server = createServer((socket) => {
    let read = 0;
    socket.on("error", () => {});
    if (early !== "") socket.write(early);
    socket.on("data", (bytes) => {
      read += bytes.length;
      if (bytes.at(-1) === ",".charCodeAt(0) && read > 30) socket.write(answers);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  using here = near({ qmtproutes: `:127.0.0.1:${port}`, timeoutremote: "2" });
  try {
    const recipients = RECIPIENTS.slice(0, 2);
    const outcome = await remote(here.config, {
      host: "far.test",
      sender: "",
      recipients,
      message: early === "" ? MESSAGE : LONG,
    });
    return recipients.map((_, at) => deliveryReport(outcome, at));
  } finally {
    server.close();
  }
}

test("a QMTP server that says more than it is asked", async () => {
  const statuses = async (answers: string, early?: string) =>
    (await qmtp(answers, early)).map(({ status }) => status);
  assert.deepEqual(await statuses("3:Kok,3:Dno,"), ["K", "D"]);
  assert.deepEqual(await statuses("3:Dno,3:Kok,3:Kok,"), ["Z", "Z"]);
  const [report] = await qmtp("3:Dno,3:Kok,3:Kok,");
  assert.match(
    report?.text ?? "",
    /said more than it was asked\. Possible duplicate! \(#4\.5\.0\)/,
  );
  assert.deepEqual(await statuses("3:Kok,3:Kok,", "3:Dno,"), ["Z", "Z"]);
});
