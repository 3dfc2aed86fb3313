import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { bytes, either, heard, kind, text, uint32 } from "../../../qmail/net/frames.ts";
import { Link, type LinkOptions, Refusal } from "../../../qmail/net/link.ts";
import { rawFrame } from "./_frames.ts";

const SAY = {
  word: kind(1, 10, text),
  count: kind(2, 4, uint32),
  long: kind(3, 256 * 1024, bytes),
  yes: kind(4, 1, either("1", "0")),
} as const;

type Heard = readonly [kind: string, id: number, value: unknown];

/** A link whose peer is the test: it gives chunks. */
function setUp(options: Partial<LinkOptions> = {}) {
  const heardAll: Heard[] = [];
  const take = (name: string) => (value: unknown, id: number) =>
    void heardAll.push([name, id, Buffer.isBuffer(value) ? value.length : value]);
  const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const closed = Promise.withResolvers<Error | undefined>();
  const link = new Link(socket as unknown as Socket, {
    hears: heard(SAY, {
      word: take("word"),
      count: take("count"),
      long: take("long"),
      yes: ({ yes }, id) => take("yes")(yes, id),
    }),
    close: closed.resolve,
    ...options,
  });
  return { link, socket, heardAll, closed: closed.promise };
}

/** Two ends of a socket. */
async function pair(t: TestContext): Promise<[Socket, Socket]> {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-link-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const server = createServer().listen(join(directory, "link"));
  await once(server, "listening");
  const one = connect(join(directory, "link"));
  const [other] = (await once(server, "connection")) as [Socket];
  server.close();
  t.after(() => {
    one.destroy();
    other.destroy();
  });
  for (const end of [one, other]) end.on("error", () => {});
  return [one, other];
}

const frames = fc.array(
  fc.tuple(fc.nat(0xffffffff), fc.string({ maxLength: 10, unit: "binary-ascii" })),
  { maxLength: 20 },
);

test("frames arrive whole and in order, wherever they are cut", () => {
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 30 })), (all, cuts) => {
      const { socket, heardAll } = setUp();
      const stream = Buffer.concat(all.map(([id, word]) => rawFrame(1, id, word)));
      let at = 0;
      for (const cut of [...cuts, stream.length]) {
        const chunk = stream.subarray(at, at + cut);
        if (chunk.length > 0) socket.emit("data", chunk);
        at += cut;
      }
      assert.deepEqual(
        heardAll,
        all.map(([id, word]) => ["word", id, word]),
      );
    }),
  );
});

/** What no peer may say. */
const REFUSED: readonly (readonly [string, Buffer])[] = [
  ["a type that is not in the table", rawFrame(9, 1, "x")],
  ["a payload longer than its kind may be", rawFrame(1, 1, "12345678901")],
  ["a length longer than its kind may be, and no byte of it", rawFrame(3, 1, "", 256 * 1024 + 1)],
  ["four gigabytes", rawFrame(1, 1, "", 0xffffffff)],
  ["a number of three bytes", rawFrame(2, 1, "123")],
  ["a word that is neither", rawFrame(4, 1, "2")],
];

for (const [what, frame] of REFUSED) {
  test(`${what}: the link ends, and nothing behind it is heard`, async () => {
    const { socket, heardAll, closed } = setUp();
    socket.emit("data", Buffer.concat([rawFrame(1, 1, "good"), frame, rawFrame(1, 2, "late")]));
    socket.emit("data", rawFrame(1, 3, "later"));
    assert.deepEqual(heardAll, [["word", 1, "good"]]);
    assert.ok((await closed) instanceof Refusal);
  });
}

test("a long frame that comes byte by byte costs as much as its bytes", () => {
  const cost = (length: number) => {
    const { socket, heardAll } = setUp();
    const frame = rawFrame(3, 1, Buffer.alloc(length));
    const before = process.cpuUsage();
    for (let at = 0; at < frame.length; at++) socket.emit("data", frame.subarray(at, at + 1));
    const { user, system } = process.cpuUsage(before);
    assert.deepEqual(heardAll, [["long", 1, length]]);
    return user + system;
  };
  cost(32 * 1024);
  // Eight times as many bytes; copying all at each would cost 64 times as much.
  assert.ok(cost(256 * 1024) < 30 * cost(32 * 1024));
});

test("nothing is kept of a frame whose length is not allowed", async () => {
  const { socket, closed } = setUp();
  socket.emit("data", rawFrame(1, 1, "", 1000).subarray(0, 8));
  socket.emit("data", rawFrame(1, 1, "", 1000).subarray(8));
  assert.ok((await closed) instanceof Refusal);
});

test("paused in the middle of a chunk it hears the rest later", () => {
  const { link, socket, heardAll } = setUp();
  const three = Buffer.concat([1, 2, 3].map((id) => rawFrame(1, id, "x")));
  link.pause();
  link.pause();
  socket.emit("data", three);
  link.resume();
  assert.deepEqual(heardAll, []);
  link.resume();
  assert.equal(heardAll.length, 3);
});

test("a frame that has begun and does not end in time ends the link; one that is whole, and silence, do not", async () => {
  const { socket, heardAll, closed } = setUp({ frameMs: 20 });
  socket.emit("data", rawFrame(1, 1, "whole"));
  await new Promise((resolve) => setTimeout(resolve, 100));
  socket.emit("data", rawFrame(1, 2, "begun").subarray(0, 3));
  assert.ok((await closed) instanceof Refusal);
  assert.equal(heardAll.length, 1);
});

test("who does not read what he asked for is not heard further, and goes on when he reads", async (t) => {
  const [ours, peer] = await pair(t);
  const answer = Buffer.alloc(1000);
  let asked = 0;
  const link: Link = new Link(ours, {
    guarded: true,
    hears: heard(SAY, {
      word: (_, id) => {
        asked++;
        link.send(SAY.long, id, answer);
      },
      count() {},
      long() {},
      yes() {},
    }),
    close() {},
  });
  const total = 20_000;
  peer.pause();
  for (let id = 0; id < total; id++) peer.write(rawFrame(1, id, "more"));
  // Long enough for all of it, were it heard.
  let before = -1;
  while (asked === 0 || asked !== before) {
    before = asked;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert.ok(asked < 3000, `${asked} answers wait`);
  let bytesRead = 0;
  const all = Promise.withResolvers<void>();
  peer.on("data", (chunk: Buffer) => {
    bytesRead += chunk.length;
    if (bytesRead === total * 1009) all.resolve();
  });
  peer.resume();
  await all.promise;
  assert.equal(asked, total);
});
