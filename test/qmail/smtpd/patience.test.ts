/** How long a session waits, and for whom; by a clock that only goes on when the test says so. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { hurried } from "../../../qmail/smtpd/limits.ts";
import { Client, FakeQueue, Home, settled } from "./_world.ts";

const home = new Home({ rcpthosts: "mail.test\n", timeoutsmtpd: "300\n" });
after(() => home[Symbol.dispose]());
const controls = home.controls();
const ENVELOPE = "MAIL FROM:<a@b>\r\nRCPT TO:<x@mail.test>\r\nDATA\r\n";

/** Seconds until `client`, to whom `byte` is sent every two seconds, is gone; null: it lives for a day. */
function lives(client: Client, byte: (n: number) => string): number | null {
  for (let n = 0; n < 43_200; n++) {
    client.pass(2000);
    if (client.ended) return (client.now - 1_700_000_000_000) / 1000;
    client.session.receive(Buffer.from(byte(n), "latin1"));
    client.replies = client.replies.slice(-200);
    client.log.splice(0, client.log.length - 1);
  }
  return null;
}

test("a byte every two seconds: no longer than one command may take", () => {
  assert.equal(
    lives(new Client(controls), () => "x"),
    300,
  );
  const silent = new Client(controls);
  silent.pass(299_999);
  assert.equal(silent.ended, false);
  silent.pass(1);
  assert.match(silent.replies, /451 timeout \(#4\.4\.2\)\r\n$/);
});

test("a command every two seconds: until too many bring nothing forward", () => {
  const client = new Client(controls);
  // 100 are free, and 20 are errors; of these ten cost a second.
  assert.equal(
    lives(client, () => "NOOP\r\n"),
    242,
  );
  assert.match(client.replies, /421 too many errors \(#4\.7\.0\)\r\n$/);
  assert.match(client.log.at(-1) ?? "", / why=too-many-errors messages=0 /);
});

test("messages for ever: no longer than a session may take, and none is broken off", async () => {
  const client = new Client(controls);
  let messages = 0;
  while (!client.ended) {
    client.send(ENVELOPE);
    if (client.ended) break;
    client.pass(100_000);
    client.send("hello\r\n.\r\n");
    await settled();
    assert.match(client.replies, /^250 ok /);
    messages++;
  }
  assert.equal(messages, 36);
  assert.equal(
    client.replies.split("\r\n")[1],
    "421 this session has lasted too long, come again (#4.4.2)",
  );
  assert.match(client.log.at(-1) ?? "", / why=too-long messages=36 /);
  // Who is silent then hears the same.
  const silent = new Client({ ...controls, limits: { ...controls.limits, sessionMs: 10_000 } });
  silent.pass(10_000);
  assert.match(silent.replies, /421 this session has lasted too long/);
});

for (const [what, begin, byte] of [
  ["DATA", ENVELOPE, () => "x"],
  ["a chunk", "MAIL FROM:<a@b>\r\nRCPT TO:<x@mail.test>\r\nBDAT 1000000\r\n", () => "x"],
  [
    "chunks of a byte",
    "MAIL FROM:<a@b>\r\nRCPT TO:<x@mail.test>\r\nBDAT 1\r\nx",
    () => "BDAT 1\r\nx",
  ],
] as const) {
  test(`a message in ${what} that comes too slowly has no more time than its bytes earn`, () => {
    const client = new Client(controls).send(begin);
    const seconds = lives(client, byte) ?? Number.POSITIVE_INFINITY;
    assert.ok(seconds >= 300 && seconds < 310, `${seconds}`);
    assert.match(client.log.at(-1) ?? "", / why=timeout messages=0 /);
  });
}

test("a message that comes with the rate that is asked may take all day", () => {
  const client = new Client(controls).send(ENVELOPE);
  assert.equal(
    lives(client, () => `${"x".repeat(998)}\r\n`),
    null,
  );
});

test("time stands still while the queue is asked, and while it is full", async () => {
  const queue = new FakeQueue();
  const asked = Promise.withResolvers<void>();
  queue.closing = asked.promise;
  const client = new Client(controls, { queue }).send(ENVELOPE);
  queue.full = true;
  client.send("hello\r\n");
  client.pass(1e9);
  queue.drain();
  await settled();
  client.send(".\r\n");
  client.pass(1e9);
  assert.equal(client.ended, false);
  asked.resolve();
  await settled();
  assert.match(client.replies, /^250 ok .*\r\n421 this session has lasted too long/);
});

test("errors: ten are free, ten cost a second each, then it is over", () => {
  const client = new Client(controls);
  let replies = "";
  const noted = () => {
    replies += client.replies;
    client.replies = "";
  };
  client.send("NONSENSE\r\n".repeat(200_000));
  noted();
  assert.equal(replies.match(/^502 /gm)?.length, 11);
  assert.equal(client.open, false);
  for (let n = 12; n <= 20; n++) {
    client.pass(999);
    noted();
    assert.equal(replies.match(/^502 /gm)?.length, n - 1);
    client.pass(1);
    noted();
    assert.equal(replies.match(/^502 /gm)?.length, n);
  }
  client.pass(1000);
  noted();
  assert.match(replies, /421 too many errors \(#4\.7\.0\)\r\n$/);
});

test("recipients that are refused are errors, and a client may not go on by beginning anew", () => {
  const client = new Client(controls);
  let sent = 0;
  for (; sent < 1000 && !client.ended; sent++) {
    client.send("MAIL FROM:<a@b>\r\nRCPT TO:<nobody@else.test>\r\nRSET\r\n").pass(1000);
  }
  assert.equal(sent, 20);
});

test("what waits in a slowed session when its client goes is not looked at", () => {
  const client = new Client(controls).send("NONSENSE\r\n".repeat(30));
  client.session.inputEnd();
  assert.equal(client.ended, false);
  client.session.lost();
  assert.equal(client.ended, true);
  client.pass(5000);
  assert.equal(client.log.length, 1);
});

test("while places are short one error is too many, and a command has ten seconds", () => {
  const limits = () => hurried(controls.limits);
  const client = new Client(controls, { limits }).send("NONSENSE\r\nNONSENSE\r\n");
  assert.equal(client.replies, "502 unimplemented (#5.5.1)\r\n");
  client.pass(1000);
  assert.match(client.replies, /^502 .*\r\n421 too many errors \(#4\.7\.0\)\r\n$/);
  const slow = new Client(controls, { limits });
  assert.equal(
    lives(slow, () => "x"),
    10,
  );
});

test("another's need of the place is said, also in the middle of a message", () => {
  for (const begin of ["", ENVELOPE]) {
    const queue = new FakeQueue();
    const client = new Client(controls, { queue }).send(begin);
    client.replies = "";
    client.session.sendAway();
    assert.equal(client.replies, "421 too many connections, try again later (#4.3.2)\r\n");
    assert.match(client.log.at(-1) ?? "", / why=sent-away /);
    assert.equal(queue.underWay, 0);
  }
});
