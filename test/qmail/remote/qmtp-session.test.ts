/** The QMTP client against servers that answer as they should, and others. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { Readable } from "node:stream";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { QmtpSession } from "../../../qmail/remote/qmtp-session.ts";
import { bufferMessage } from "../../../qmail/spawn/message.ts";

/** Delivers to a server that reads as much as the client sends, then answers `answer` and hangs up. */
async function deliver(
  answer: string | AsyncIterable<string>,
  { recipients = ["x@mail.test"], total = 20_000 } = {},
) {
  const before = "17:\nSubject: x\n\nbody,3:a@b,";
  let request = "";
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      request += chunk.toString("latin1");
      const [, size = "", rest = ""] = /^(\d+):(.*)$/s.exec(request.slice(before.length)) ?? [];
      if (size !== "" && rest.length === Number(size) + 1) {
        if (typeof answer === "string") socket.end(answer);
        else Readable.from(answer).pipe(socket);
      }
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as { port: number }).port, "127.0.0.1");
  await once(socket, "connect");
  const message = bufferMessage(Buffer.from("Subject: x\n\nbody"));
  const transfer = { sender: "a@b", recipients, message, eightBit: "send" } as const;
  const outcome = await new QmtpSession(socket, { timeout: 20_000, total }).transfer(transfer);
  server.close();
  return { ...outcome, request };
}

const K = "13:Kok 1 qp 2 ok,";
const D = "8:Dno (#5),";
const Z = "8:Zno (#4),";

test("what is sent: the message, the sender, the recipients", async () => {
  const { request } = await deliver(K + K, {
    recipients: ["x@mail.test", "y z@mail.test"],
  });
  const message = "17:\nSubject: x\n\nbody,";
  assert.equal(request, `${message}3:a@b,32:11:x@mail.test,13:y z@mail.test,,`);
});

test("each recipient has its own outcome", async () => {
  const { recipients, report } = await deliver(K + D + Z + K, {
    recipients: ["a", "b", "c", "d"],
  });
  assert.deepEqual(
    recipients.map(({ status }) => status),
    ["r", "h", "s", "r"],
  );
  assert.equal(
    recipients[1]?.text,
    "127.0.0.1 does not like recipient.\nRemote host said: no (#5)\n",
  );
  assert.deepEqual(report, {
    status: "K",
    text: "127.0.0.1 accepted message.\nRemote host said: ok 1 qp 2 ok\n",
  });
});

test("nobody taken: giving up", async () => {
  const { report } = await deliver(D);
  assert.deepEqual(report, { status: "D", text: "Giving up on 127.0.0.1.\n" });
});

test("an answer that is no verdict is to be tried again", async () => {
  assert.equal((await deliver("1:?,")).recipients[0]?.status, "s");
});

const LOST = "Connected to 127.0.0.1 but connection died. Possible duplicate! (#4.4.2)\n";

for (const answer of ["", "5:Kok", "nonsense", `9999:${"x".repeat(20)}`]) {
  test(`a server that answers "${answer}" and goes`, async () => {
    const { report, recipients } = await deliver(answer);
    assert.deepEqual(report, { status: "Z", text: LOST });
    assert.deepEqual(recipients, []);
  });
}

test("a server that answers byte by byte must come to an end", async () => {
  async function* bytes(): AsyncGenerator<string> {
    for (const byte of "2000:K") yield byte;
    for (let at = 0; at < 200; at++) {
      await sleep(50);
      yield "x";
    }
  }
  const began = performance.now();
  const { report } = await deliver(bytes(), { total: 500 });
  assert.deepEqual(report, { status: "Z", text: LOST });
  assert.ok(performance.now() - began < 9000);
});
