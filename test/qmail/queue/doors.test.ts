/** The doors of the queue server before those who keep to no rule: it lives, stays small, and serves the others. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { QQ } from "../../../qmail/exit.ts";
import { dropName, formatTrailer } from "../../../qmail/queue/drop.ts";
import { dropQueue } from "../../../qmail/queue/local-queue.ts";
import {
  ENVELOPE_MAX,
  FRAME,
  FROM_NETWORK,
  LOCAL_SOCKET,
  NETWORK_SOCKET,
} from "../../../qmail/queue/protocol.ts";
import { openDescriptors, peakMemory } from "../_process.ts";
import { rawFrame, rogueFrames } from "../net/_frames.ts";
import { SendRig } from "../send/_send.ts";

const MIB = 1024 * 1024;
const TYPES = Object.values(FROM_NETWORK).map(({ type }) => type);

class DoorRig extends SendRig {
  readonly #sockets = new Set<Socket>();

  get server(): number {
    return this.processes()[1] as number;
  }

  /** Somebody comes in, who reads nothing unless told to. */
  async come(path: string): Promise<Socket> {
    for (;;) {
      const socket = connect(join(this.home, path));
      const connected = once(socket, "connect").then(
        () => true,
        () => false,
      );
      // A door is there a moment before it is open.
      if (!(await connected)) continue;
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => this.#sockets.delete(socket));
      return socket;
    }
  }

  /** All who have come go. */
  leave(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** A local user's message for `recipient`; what he hears. */
  async drop(recipient: string): Promise<boolean> {
    const message = dropQueue(this.home).open();
    message.put(Buffer.from("Subject: x\n\nbody\n"));
    return (await message.close("me@mail.test", [recipient])).ok;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    this.leave();
    await super[Symbol.asyncDispose]();
  }
}

/** Resolves when `socket` is closed by the other side. */
async function closed(socket: Socket): Promise<void> {
  socket.resume();
  if (!socket.closed) await once(socket, "close");
}

test("1,500 who say nothing at the local door take no descriptors, and nobody's mail", async () => {
  await using rig = new DoorRig();
  await rig.start();
  for (let at = 0; at < 1500; at++) await rig.come(LOCAL_SOCKET);
  assert.ok(openDescriptors(rig.server) < 400, `${openDescriptors(rig.server)} descriptors`);
  await rig.put("", ["from-network@mail.test"]);
  assert.equal((await rig.order()).recipient, "from-network@mail.test");
  // He finds no room, or some by now; either way he is told of success, and it is so.
  assert.equal(await rig.drop("from-user@mail.test"), true);
  assert.equal((await rig.order()).recipient, "from-user@mail.test");
});

test("who says nothing at the local door is shut out, who is being served is not", async () => {
  await using rig = new DoorRig();
  await rig.start();
  const silent = await rig.come(LOCAL_SOCKET);
  const slow = await rig.come(LOCAL_SOCKET);
  slow.write(rawFrame(FRAME.drop.type, 1, "0").subarray(0, 5));
  await Promise.all([closed(silent), closed(slow)]);
  assert.equal(await rig.drop("joe@mail.test"), true);
});

test("400 frames that never end are not kept", async () => {
  await using rig = new DoorRig();
  await rig.start();
  const before = peakMemory(rig.server);
  const part = Buffer.alloc(MIB - 9);
  for (const path of [LOCAL_SOCKET, NETWORK_SOCKET]) {
    for (let at = 0; at < 200; at++) {
      const socket = await rig.come(path);
      socket.write(rawFrame(FRAME.drop.type, 1, part, MIB));
    }
  }
  await rig.put("", ["joe@mail.test"]);
  assert.equal(await rig.drop("jim@mail.test"), true);
  const grown = peakMemory(rig.server) - before;
  assert.ok(grown < 100 * MIB, `${grown} bytes`);
});

test("names of drops that are none end the link, and the log has no line of theirs", async () => {
  await using rig = new DoorRig();
  await rig.start();
  const names = [
    "x\n@4000 fatal: all is lost",
    "\x1b[2J",
    "../../etc/passwd",
    "",
    "1.msg\n",
    "a.tmp",
  ];
  for (const name of names) {
    const socket = await rig.come(LOCAL_SOCKET);
    socket.write(rawFrame(FRAME.drop.type, 1, name));
    await closed(socket);
  }
  const twice = await rig.come(LOCAL_SOCKET);
  const good = rawFrame(FRAME.drop.type, 1, `${dropName()}.msg`);
  twice.write(Buffer.concat([good, good]));
  await closed(twice);
  assert.doesNotMatch(rig.errors, /lost|passwd|\[2J/);
});

test("3,000 drops that are not there have a few lines in the log, each clean", async () => {
  await using rig = new DoorRig();
  await rig.start();
  const ask = async () => {
    const socket = await rig.come(LOCAL_SOCKET);
    for (let at = 0; at < 300; at++) {
      socket.write(rawFrame(FRAME.drop.type, at, `${dropName()}.msg`));
      const [answer] = (await once(socket, "data")) as [Buffer];
      assert.equal(answer[0], FRAME.result.type);
    }
  };
  await Promise.all(Array.from({ length: 10 }, ask));
  const lines = rig.errors.split("\n").filter((line) => line.includes("cannot take in"));
  // Thirty at once, one a second, and the number of the rest.
  assert.ok(lines.length > 0 && lines.length < 300, `${lines.length} lines`);
  for (const line of lines) assert.match(line, /^warning: qmail-queue: [ -~]*$/);
});

test("a drop with as many recipients as bytes allow holds nobody up", async () => {
  await using rig = new DoorRig();
  await rig.start();
  const before = peakMemory(rig.server);
  const envelope = Buffer.alloc(ENVELOPE_MAX - 100, "Tx\0");
  envelope.write("Fx\0");
  const name = `${dropName()}.msg`;
  const trailer = formatTrailer({ size: 0, envelopeSize: envelope.length, sum: crc32(envelope) });
  writeFileSync(join(rig.home, "drop", name), Buffer.concat([envelope, trailer]));
  const socket = await rig.come(LOCAL_SOCKET);
  socket.write(rawFrame(FRAME.drop.type, 1, name));
  const [answer] = (await once(socket, "data")) as [Buffer];
  assert.equal(answer[9], QQ.noMemory);
  const grown = peakMemory(rig.server) - before;
  assert.ok(grown < 500 * MIB, `${grown} bytes`);
});

test("whatever network daemons say, and however little they read, the queue server lives", async () => {
  await using rig = new DoorRig();
  await rig.start();
  const { server } = rig;
  for (let seed = 0; seed < 20; seed++) {
    const socket = await rig.come(NETWORK_SOCKET);
    socket.write(rogueFrames(seed, TYPES));
    if (seed % 4 === 0) await rig.put("", [`seed-${seed}@mail.test`]);
  }
  // Answers that nobody reads: each is for a message without an envelope.
  const unread = await rig.come(NETWORK_SOCKET);
  for (let id = 0; id < 100; id++) {
    const closes = Array.from({ length: 1000 }, (_, at) =>
      rawFrame(FRAME.close.type, id * 1000 + at),
    );
    unread.write(Buffer.concat(closes));
  }
  await rig.put("", ["last@mail.test"]);
  for (let order = await rig.order(); order.recipient !== "last@mail.test"; ) {
    order = await rig.order();
  }
  assert.equal(rig.server, server);
  rig.leave();
  await rig.until(() => readdirSync(join(rig.queue, "pid")).length === 0, "an empty pid");
  assert.ok(peakMemory(server) < 300 * MIB, `${peakMemory(server)} bytes`);
});

test("messages without end and envelopes without end are so many and no more", async () => {
  await using rig = new DoorRig();
  await rig.start();
  const many = await rig.come(NETWORK_SOCKET);
  const puts = Array.from({ length: 5000 }, (_, id) => rawFrame(FRAME.put.type, id, "x"));
  many.write(Buffer.concat(puts));
  await closed(many);
  const before = peakMemory(rig.server);
  const long = await rig.come(NETWORK_SOCKET);
  const part = Buffer.alloc(FRAME.envelope.max, "Tx\0");
  for (let id = 0; id < 2000 && !long.closed; id++) {
    const full = !long.write(rawFrame(FRAME.envelope.type, id, part));
    while (full && !long.closed && long.writableNeedDrain) await sleep(5);
  }
  await closed(long);
  const grown = peakMemory(rig.server) - before;
  assert.ok(grown < 300 * MIB, `${grown} bytes`);
  await rig.put("", ["joe@mail.test"]);
  assert.equal((await rig.order()).recipient, "joe@mail.test");
});
