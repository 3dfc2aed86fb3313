/** The engine's order, limits and endings; what is said to which command is in test/dialogs. */

import assert from "node:assert/strict";
import { createHash, createHmac, pbkdf2Sync } from "node:crypto";
import { after, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { makeScramKeys } from "../../../qmail/checkpassword/scram.ts";
import { NO_GUARD } from "../../../qmail/net/login-brakes.ts";
import { RECIPIENTS_MAX } from "../../../qmail/smtpd/transaction.ts";
import { AT_ONCE, Client, FakeQueue, Home, patient, settled } from "./_world.ts";

const home = new Home({ rcpthosts: "mail.test\n" });
after(() => home[Symbol.dispose]());
const controls = home.controls();
/** Memory that is only waiting to be collected does not count. */
async function collectGarbage(): Promise<void> {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc");
  // Buffers are freed behind the collection that found them.
  for (let n = 0; n < 3; n++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const ENVELOPE = "MAIL FROM:<a@b>\r\nRCPT TO:<x@mail.test>\r\nDATA\r\n";

/** A client in the middle of DATA. */
function inData(queue = new FakeQueue()): Client {
  const client = new Client(patient(controls), { queue }).send(ENVELOPE);
  assert.match(client.replies, /^250 ok\r\n250 ok\r\n354 go ahead\r\n$/);
  return client;
}

test("Session answers a pipelined group in one write", () => {
  const client = new Client(controls);
  let writes = 0;
  client.onOutput = () => writes++;
  client.send(`EHLO x\r\n${ENVELOPE}`);
  assert.equal(writes, 1);
});

test("Session gives the same replies however the bytes are cut", async () => {
  const script = `EHLO x\r\n${ENVELOPE}one\r\n..two\r\n.\r\nNOOP\r\n${ENVELOPE}.\r\nQUIT\r\n`;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat({ max: script.length })), async (cuts) => {
      const client = new Client(controls);
      client.replies = "";
      let replies = "";
      client.onOutput = () => {
        replies += client.replies;
        client.replies = "";
      };
      const ends = [...cuts.sort((a, b) => a - b), script.length];
      for (const [index, end] of ends.entries()) {
        client.session.receive(Buffer.from(script.slice(ends[index - 1] ?? 0, end)));
        if (index % 2 === 0) await settled();
      }
      await settled();
      assert.equal(
        [...replies.matchAll(/^\d+[ -]/gm)].join(""),
        "250-250-250-250-250 250 250 354 250 250 250 250 354 250 221 ",
      );
      assert.deepEqual(
        client.queue.messages.map(({ text }) => text.split("\n").slice(2).join("\n")),
        ["one\n.two\n", ""],
      );
    }),
    { numRuns: 200 },
  );
});

test("Session answers nothing before the queue has", async () => {
  const queue = new FakeQueue();
  const asked = Promise.withResolvers<void>();
  queue.closing = asked.promise;
  const client = inData(queue).send("hello\r\n.\r\nNOOP\r\n");
  await settled();
  assert.equal(client.replies, "");
  asked.resolve();
  await settled();
  assert.match(client.replies, /^250 ok 1700000000 qp 1\r\n250 ok\r\n$/);
});

test("Session holds back a client that sends on while the queue is asked", async () => {
  const queue = new FakeQueue();
  const asked = Promise.withResolvers<void>();
  queue.closing = asked.promise;
  const client = inData(queue).send(".\r\n");
  client.send("NOOP\r\n".repeat(5000));
  assert.equal(client.open, true);
  client.send("NOOP\r\n".repeat(10_000));
  assert.equal(client.open, false);
  asked.resolve();
  await settled();
  assert.equal(client.open, true);
  assert.equal(client.replies.match(/^250 ok\r\n/gm)?.length, 15_000);
});

test("Session waits for a full queue, and holds the client back", async () => {
  const queue = new FakeQueue();
  const client = inData(queue);
  queue.full = true;
  client.send(`${"x".repeat(70_000)}\r\n`);
  const before = queue.bytes;
  client.send(`${"y".repeat(70_000)}\r\n.\r\n`);
  assert.equal(client.open, false);
  assert.equal(queue.bytes, before);
  queue.drain();
  await settled();
  assert.equal(client.open, true);
  assert.match(client.replies, /^250 ok \d+ qp 1\r\n$/);
  assert.equal(queue.messages[0]?.text.split("\n")[3]?.length, 70_000);
});

test("Session gives a message up when its client goes while the queue is full", async () => {
  const queue = new FakeQueue();
  const client = inData(queue);
  queue.full = true;
  client.send("0123456789abcdef");
  client.session.lost();
  queue.drain();
  await settled();
  assert.deepEqual([queue.aborted, queue.messages.length, client.ended], [1, 0, true]);
});

test("Session gives a message up when its client goes in DATA", () => {
  const client = inData().send("hello\r\n");
  client.session.lost();
  assert.equal(client.queue.aborted, 1);
  assert.match(client.log.join(""), /event=ended .*why=disconnected messages=0/);
});

test("Session queues a whole message even when its client has gone", async () => {
  const queue = new FakeQueue();
  const asked = Promise.withResolvers<void>();
  queue.closing = asked.promise;
  const client = inData(queue).send(".\r\n");
  client.session.lost();
  asked.resolve();
  await settled();
  assert.equal(queue.messages.length, 1);
  const events = client.log.map((line) => / event=(\S+)/.exec(line)?.[1]);
  assert.deepEqual(events, ["accepted", "ended"]);
});

test("Session stores no more of a message that is too big, and finds its end", () => {
  const queue = new FakeQueue();
  const client = new Client({ ...controls, databytes: 100 }, { queue }).send(ENVELOPE);
  const received = queue.bytes;
  for (let n = 0; n < 100; n++) client.send(`${"x".repeat(98)}\r\n`);
  assert.ok(queue.bytes - received <= 100);
  assert.equal(queue.aborted, 1);
  client.send(".\r\nNOOP\r\n");
  assert.match(client.replies, /^552 .*\(#5\.3\.4\)\r\n250 ok\r\n$/);
  assert.match(client.log.join(""), /event=refused-message .* rcpts=1 bytes=9900 reply=552 sorry/);
});

test("Session bounds the recipients of a message", () => {
  const client = new Client(patient(controls)).send("MAIL FROM:<a@b>\r\n");
  const some = "RCPT TO:<somebody-with-a-name@mail.test>\r\n".repeat(1000);
  let replies = "";
  for (let n = 0; n < 100; n++) replies += client.send(some).replies;
  const codes = replies.trimEnd().split("\r\n");
  assert.equal(codes.length, 100_000);
  const taken = codes.filter((reply) => reply.startsWith("250 ")).length;
  assert.equal(taken, Math.floor(RECIPIENTS_MAX / "somebody-with-a-name@mail.test".length));
  assert.ok(codes.slice(taken).every((reply) => /^452 .*\(#4\.5\.3\)$/.test(reply)));
  assert.match(
    client.send("RSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<x@mail.test>\r\n").replies,
    /250 ok\r\n$/,
  );
});

test("Session says 451 to a silent client, but not while the client waits for it", async () => {
  const queue = new FakeQueue();
  const asked = Promise.withResolvers<void>();
  queue.closing = asked.promise;
  const client = inData(queue).send(".\r\n");
  client.session.timeout();
  assert.deepEqual([client.replies, client.ended], ["", false]);
  asked.resolve();
  await settled();
  client.replies = "";
  client.session.timeout();
  assert.deepEqual([client.replies, client.ended], ["451 timeout (#4.4.2)\r\n", true]);
  client.session.timeout();
  assert.equal(client.replies, "451 timeout (#4.4.2)\r\n");
});

test("Session.stop() ends an idle session at once", () => {
  const client = new Client(controls).send("MAIL FROM:<a@b>\r\n");
  client.session.stop();
  assert.match(client.replies, /421 .*\(#4\.3\.2\)\r\n$/);
  assert.equal(client.ended, true);
});

test("Session.stop() lets a message finish", async () => {
  const client = inData();
  client.session.stop();
  assert.equal(client.ended, false);
  client.send("hello\r\n.\r\nNOOP\r\n");
  await settled();
  assert.match(client.replies, /^250 ok \d+ qp 1\r\n421 .*\r\n$/);
  assert.equal(client.ended, true);
});

test("Session says 451 when no message can be begun, and forgets the transaction", () => {
  const queue = new FakeQueue();
  queue.open = () => {
    throw new Error("no more processes");
  };
  const client = new Client(controls, { queue }).send(`${ENVELOPE}DATA\r\n`);
  assert.deepEqual(client.replies.split("\r\n").slice(-3), [
    "451 qqt failure (#4.3.0)",
    "503 MAIL first (#5.5.1)",
    "",
  ]);
  assert.match(client.log.join(""), /warning: .*no more processes/);
});

test("Session breaks off with 421 when a control file turns out to be broken", () => {
  using broken = new Home({ rcpthosts: "mail.test\n", "morercpthosts.cdb": "broken" });
  const client = new Client(broken.controls()).send("MAIL FROM:<a@b>\r\nRCPT TO:<a@c>\r\n");
  assert.match(client.replies, /421 unable to read controls \(#4\.3\.0\)\r\n$/);
  assert.equal(client.ended, true);
});

test("Session tells the log what it decided", async () => {
  const client = new Client({ ...controls, databytes: 100 }).send("HELO x y\r\n");
  client.send("MAIL FROM:<a@b> SIZE=101\r\nMAIL FROM:<a b@c>\r\nRCPT TO:<no@else.test>\r\n");
  client.send("RCPT TO:<x@mail.test>\r\nDATA\r\nhi\r\n.\r\n");
  await settled();
  client.now += 1234;
  client.send("QUIT\r\n");
  assert.deepEqual(client.log, [
    "smtpd: 1.1 event=refused-sender ip=127.0.0.1 from=<a@b> " +
      "reply=552 sorry, that message size exceeds my databytes limit (#5.3.4)\n",
    "smtpd: 1.1 event=refused-recipient ip=127.0.0.1 from=<a%20b@c> to=<no@else.test> " +
      "reply=553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)\n",
    "smtpd: 1.1 event=accepted ip=127.0.0.1 helo=x%20y from=<a%20b@c> to=<x@mail.test> rcpts=1 bytes=3 qp=1\n",
    "smtpd: 1.1 event=ended ip=127.0.0.1 why=quit messages=1 seconds=1.234\n",
  ]);
});

test("Session names the first hundred addresses that it refuses, and counts the rest", () => {
  const client = new Client(patient(controls)).send("MAIL FROM:<a@b>\r\n");
  client.send("RCPT TO:<x@else.test>\r\n".repeat(1000));
  client.session.lost();
  assert.equal(client.log.filter((line) => line.includes("refused-recipient")).length, 100);
  assert.match(client.log.at(-1) ?? "", / messages=0 refused=1000 /);
});

test("Session takes any bytes without a crash, and holds a bounded number of them", async () => {
  const word = fc.constantFrom(
    "EHLO x\r\n",
    "MAIL FROM:<a@b>\r\n",
    "RCPT TO:<x@mail.test>\r\n",
    "DATA\r\n",
    "\r\n.\r\n",
    "BDAT 7\r\n",
    "BDAT 3 LAST\r\n",
    "RSET\r\n",
    "STARTTLS\r\n",
    "AUTH PLAIN\r\n",
    "AUTH LOGIN am9l\r\n",
    "*\r\n",
    "\r",
    "\n",
    ".",
    "<",
    '"',
    "\0",
  );
  const bytes = fc
    .uint8Array({ maxLength: 200 })
    .map((array) => Buffer.from(array).toString("latin1"));
  const guard = NO_GUARD;
  const store = { check: async () => "refused" as const };
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof({ weight: 3, arbitrary: word }, bytes)), async (pieces) => {
      const login = { store, guard, host: "mail.test", withoutTls: true, pace: AT_ONCE };
      const client = new Client(patient(controls), { login, startTls: true });
      for (const piece of pieces) {
        if (client.securing) break;
        client.session.receive(Buffer.from(piece, "latin1"));
        await settled();
      }
      client.session.lost();
      await settled();
      assert.equal(client.ended, true);
      assert.equal(client.queue.underWay, 0);
      assert.match(client.log.at(-1) ?? "", / event=ended /);
      for (const { recipients } of client.queue.messages) {
        assert.ok(recipients.every((recipient) => recipient === "x@mail.test"));
      }
    }),
    { numRuns: Number(process.env.FUZZ_RUNS ?? 300) },
  );
});

test("Session stays small whatever endless thing it is sent", async () => {
  const endless: readonly (readonly [string, string])[] = [
    ["", "x"],
    ["AUTH PLAIN\r\n", "x"],
    [ENVELOPE, "x"],
    [ENVELOPE, "Subject: x\r\n"],
    [ENVELOPE, "received: x\r\n"],
    ["MAIL FROM:<a@b>\r\n", "RCPT TO:<somebody-with-a-name-of-some-length@mail.test>\r\n"],
    ["MAIL FROM:<a@b>\r\nRCPT TO:<x@mail.test>\r\n", "BDAT 10\r\nxxxxxxxx\r\n"],
  ];
  for (const [begin, repeated] of endless) {
    const queue = new FakeQueue();
    // Only the session's memory is of interest here.
    queue.open = () => ({
      full: false,
      put() {},
      drained: () => Promise.resolve(),
      abort() {},
      close: async () => ({ ok: true, qp: 1 }),
    });
    const guard = NO_GUARD;
    const store = { check: async () => "refused" as const };
    const login = { store, guard, host: "mail.test", withoutTls: true, pace: AT_ONCE };
    const endless = { ...patient(controls), databytes: 1 << 20 };
    const client = new Client(endless, { queue, login }).send(begin);
    await settled();
    const piece = Buffer.from(repeated.repeat(Math.ceil(65_536 / repeated.length)));
    await collectGarbage();
    const before = process.memoryUsage();
    for (let n = 0; n < 100; n++) {
      client.session.receive(Buffer.from(piece));
      client.replies = "";
      client.log.length = 0;
      if (n % 50 === 0) await settled();
    }
    await collectGarbage();
    const after = process.memoryUsage();
    const grown = after.heapUsed + after.external - before.heapUsed - before.external;
    // 6.5 MB were sent. What the session may hold is a line, a chunk, and 1 MB of recipients.
    assert.ok(grown < 4e6, `${begin}${repeated}: ${grown} bytes more`);
    client.session.lost();
  }
});

test("Session logs a user in by SCRAM-SHA-256, which proves itself as well", async () => {
  const keys = makeScramKeys("secret", { salt: Buffer.from("salt") });
  const guard = NO_GUARD;
  const store = { check: async () => "refused" as const, scramKeys: async () => keys };
  for (const [password, verdict] of [
    ["secret", /^235 /],
    ["wrong", /^535 /],
  ] as const) {
    const login = { store, guard, host: "mail.test", withoutTls: true, pace: AT_ONCE };
    const client = new Client(controls, { login });
    const word = (text: string) => Buffer.from(text).toString("base64");
    const say = async (line: string) => {
      client.send(`${line}\r\n`);
      await settled();
      return Buffer.from(client.replies.slice(4).trim(), "base64").toString();
    };
    const bare = "n=joe,r=abc";
    const server = await say(`AUTH SCRAM-SHA-256 ${word(`n,,${bare}`)}`);
    const withoutProof = `c=biws,${server.split(",")[0]}`;
    const said = `${bare},${server},${withoutProof}`;
    const { proof, signature } = clientProof(password, { salt: Buffer.from("salt"), said });
    const last = await say(word(`${withoutProof},p=${proof}`));
    if (password === "secret") {
      assert.equal(last, `v=${signature}`);
      await say("");
    }
    assert.match(client.replies, verdict);
  }
});

/** The client's side of RFC 5802, section 3. */
function clientProof(password: string, { salt, said }: { salt: Buffer; said: string }) {
  const hmac = (key: Buffer, text: string) => createHmac("sha256", key).update(text).digest();
  const salted = pbkdf2Sync(password, salt, 4096, 32, "sha256");
  const clientKey = hmac(salted, "Client Key");
  const mask = hmac(createHash("sha256").update(clientKey).digest(), said);
  const proof = Buffer.from(clientKey.map((byte, at) => byte ^ (mask[at] as number)));
  const signature = hmac(hmac(salted, "Server Key"), said).toString("base64");
  return { proof: proof.toString("base64"), signature };
}
