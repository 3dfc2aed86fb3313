/** Sessions of both protocols on input of any kind: each ends, in one of the known ways, and answers for what is queued. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteReader, EndOfInput } from "../../../qmail/net/byte-reader.ts";
import { formatNetstring, NetstringError } from "../../../qmail/net/netstring.ts";
import { QmqpSession } from "../../../qmail/qmqpd/session.ts";
import type { Session, SessionContext } from "../../../qmail/qmtpd/service.ts";
import { QmtpSession } from "../../../qmail/qmtpd/session.ts";
import type { QueueDoor } from "../../../qmail/queue/qmail.ts";

/** Runs of each property; more by hand: FUZZ_RUNS=100000. */
const numRuns = Number(process.env.FUZZ_RUNS ?? 2000);

/** Counts what happens to messages. */
class CountingQueue implements QueueDoor {
  begun = 0;
  given = 0;
  /** Recipients of each message that was queued. */
  readonly queued: number[] = [];

  open() {
    this.begun++;
    return {
      full: false,
      put() {},
      drained: () => Promise.resolve(),
      close: async (_sender: string, recipients: readonly string[]) => {
        this.queued.push(recipients.length);
        return { ok: true as const, qp: 1 };
      },
      abort: () => {
        this.given++;
      },
    };
  }
}

async function* inChunks(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function play(input: Buffer, size: number, make: (context: SessionContext) => Session) {
  const queue = new CountingQueue();
  const answers: Buffer[] = [];
  const session = make({
    id: "fuzz 1",
    client: { ip: "192.0.2.1", host: "unknown", info: null, local: "mail.test" },
    queue,
    hasRoom: () => true,
    now: () => 1,
    log: () => {},
    write: async (bytes) => void answers.push(bytes),
  });
  try {
    await session.run(new ByteReader(inChunks(input, size)));
  } catch (error) {
    assert.ok(error instanceof NetstringError || error instanceof EndOfInput, String(error));
  }
  assert.equal(queue.begun, queue.queued.length + queue.given);
  return { queued: queue.queued, answers: Buffer.concat(answers).toString("latin1") };
}

const qmtp = (context: SessionContext) =>
  new QmtpSession({
    ...context,
    databytes: 50,
    maxRcpt: 0,
    relayclient: null,
    allows: (to) => to !== "no",
  });
const qmqp = (context: SessionContext) => new QmqpSession({ ...context, databytes: 0, maxRcpt: 0 });

const text = fc.string({ unit: fc.constantFrom("a", "\r", "\n", "\0", "@", "no"), maxLength: 60 });
const netstring = text.map((each) => formatNetstring(each));
const concat = (parts: Buffer[]) => Buffer.concat(parts);
const recipients = fc.array(netstring, { maxLength: 4 }).map(concat);
const qmtpMessage = fc
  .tuple(fc.constantFrom("\n", "\r", "x", ""), text, netstring, recipients)
  .map(([encoding, body, sender, to]) =>
    concat([formatNetstring(encoding + body), sender, formatNetstring(to)]),
  );
const qmqpMessage = fc
  .tuple(netstring, netstring, recipients)
  .map((parts) => formatNetstring(concat(parts)));

/** Sometimes with one byte changed, sometimes cut off. */
function damaged(whole: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  return fc
    .tuple(whole, fc.option(fc.nat()), fc.option(fc.nat()), fc.nat(255))
    .map(([bytes, change, cut, byte]) => {
      const copy = Buffer.from(bytes);
      if (change !== null && copy.length > 0) copy[change % copy.length] = byte;
      return cut === null ? copy : copy.subarray(0, cut % (copy.length + 1));
    });
}

const raw = fc.uint8Array({ maxLength: 100 }).map((array) => Buffer.from(array));
const size = fc.integer({ min: 1, max: 64 });
const several = fc.array(qmtpMessage, { maxLength: 3 }).map(concat);

test("QMTP: every recipient of every queued message has a K", async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(damaged(several), raw), size, async (input, chunk) => {
      const { queued, answers } = await play(input, chunk, qmtp);
      const taken = answers.match(/\d+:Kok 1 qp 1,/g)?.length ?? 0;
      assert.equal(
        taken,
        queued.reduce((sum, count) => sum + count, 0),
      );
    }),
    { numRuns },
  );
});

test("QMQP: one K for the one message that is queued", async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(damaged(qmqpMessage), raw), size, async (input, chunk) => {
      const { queued, answers } = await play(input, chunk, qmqp);
      assert.equal(answers.startsWith("10:Kok 1 qp 1,"), queued.length === 1);
    }),
    { numRuns },
  );
});

test("100,000 recipients are answered one by one", async () => {
  const to = Array.from({ length: 100_000 }, (_, i) =>
    formatNetstring(`user${i}@mail.example.test`),
  );
  const input = concat([
    formatNetstring("\nx\n"),
    formatNetstring(""),
    formatNetstring(concat(to)),
  ]);
  const { queued, answers } = await play(input, 65_536, qmtp);
  assert.deepEqual(queued, [100_000]);
  assert.equal(answers.match(/Kok/g)?.length, 100_000);
});

test("a large message passes through without being held", async () => {
  const chunk = Buffer.alloc(1 << 20, "0123456789abcde\n");
  async function* large(): AsyncGenerator<Buffer> {
    yield Buffer.from(`${1 + 300 * chunk.length}:\n`);
    for (let i = 0; i < 300; i++) yield chunk;
    yield Buffer.from(",0:,4:1:a,,");
  }
  let most = 0;
  const queue = new CountingQueue();
  const session = new QmtpSession({
    id: "large 1",
    client: { ip: "192.0.2.1", host: "unknown", info: null, local: "mail.test" },
    queue,
    hasRoom: () => true,
    now: () => 1,
    log: () => {},
    write: async () => {
      most = process.memoryUsage().rss;
    },
    databytes: 0,
    maxRcpt: 0,
    relayclient: "",
    allows: () => true,
  });
  const before = process.memoryUsage().rss;
  await session.run(new ByteReader(large()));
  assert.deepEqual(queue.queued, [1]);
  assert.ok(most - before < 100 << 20, `${most - before} bytes more`);
});
