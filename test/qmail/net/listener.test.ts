import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { Listener } from "../../../qmail/net/listener.ts";

/** A listener that greets whom it serves; 127.0.0.x with x up to 9 are exempt. */
async function listener(concurrency: number, perClient = 2) {
  const warnings: string[] = [];
  const state = { breakable: false };
  const it = new Listener({
    listen: [{ host: "127.0.0.1", port: 0 }],
    concurrency,
    perClient,
    exempt: (ip) => /^127\.0\.0\.\d$/.test(ip),
    connected: (socket) => {
      socket.write("220 hello");
      return {
        stop: () => socket.destroy(),
        sendAway: () => socket.destroy(),
        get due() {
          return state.breakable ? 1 : Number.POSITIVE_INFINITY;
        },
      };
    },
    busy: () => "421 busy",
    warn: (text) => void warnings.push(text),
  });
  await it.bind();
  it.serve();
  const [port = 0] = it.ports;
  const clients: Socket[] = [];
  /** How many of `count` connections from `ip` are served. */
  const served = async (ip: string, count: number) => {
    let taken = 0;
    for (let at = 0; at < count; at++) {
      const socket = connect({ host: "127.0.0.1", port, localAddress: ip });
      clients.push(socket.on("error", () => {}));
      const [word] = await once(socket, "data");
      if (String(word).startsWith("220")) taken++;
    }
    return taken;
  };
  return {
    it,
    warnings,
    served,
    set breakable(breakable: boolean) {
      state.breakable = breakable;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of clients) socket.destroy();
      await it.end(0);
    },
  };
}

test("a client has so many connections, one that is exempt half of all", async () => {
  await using w = await listener(20);
  assert.equal(await w.served("127.0.0.10", 4), 2);
  assert.equal(await w.served("127.0.0.1", 15), 10);
  assert.match(w.warnings.join("\n"), /127\.0\.0\.10 has its 2 connections already/);
});

test("those who are exempt leave a tenth to others, all of them together", async () => {
  await using w = await listener(20);
  assert.equal(await w.served("127.0.0.1", 10), 10);
  assert.equal(await w.served("127.0.0.2", 10), 8);
  assert.equal(await w.served("127.0.0.3", 1), 0);
  assert.equal(await w.served("127.0.0.10", 3), 2);
  assert.equal(w.it.size, 20);
  assert.equal(await w.served("127.0.0.11", 1), 0);
});

test("what others have taken is no part of what is kept for them", async () => {
  await using w = await listener(20);
  assert.equal(await w.served("127.0.0.10", 2), 2);
  assert.equal(await w.served("127.0.0.1", 10), 10);
  assert.equal(await w.served("127.0.0.2", 10), 8);
  assert.equal(w.it.size, 20);
});

test("of few connections one is kept, of a single one none", async () => {
  await using few = await listener(3);
  assert.equal(await few.served("127.0.0.1", 3), 2);
  assert.equal(await few.served("127.0.0.10", 1), 1);
  await using one = await listener(1);
  assert.equal(await one.served("127.0.0.1", 1), 1);
});

test("who goes makes room", async () => {
  await using w = await listener(4);
  assert.equal(await w.served("127.0.0.1", 2), 2);
  assert.equal(await w.served("127.0.0.2", 2), 1);
  await w[Symbol.asyncDispose]();
  assert.equal(w.it.size, 0);
});

test("what is kept for others is taken by nobody exempt, a place of one of them is", async () => {
  await using w = await listener(10);
  assert.equal(await w.served("127.0.0.1", 5), 5);
  assert.equal(await w.served("127.0.0.2", 4), 4);
  w.breakable = true;
  assert.equal(await w.served("127.0.0.3", 1), 1);
  assert.equal(w.it.size, 9);
  assert.equal(await w.served("127.0.0.10", 1), 1);
});
