/** The services of QMTP and QMQP: whom they let go, what they take when the disk is full. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { BlockList, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { QMQP_DOOR } from "../../../qmail/qmqpd/qmail-qmqpd.ts";
import { QMTP_DOOR } from "../../../qmail/qmtpd/qmail-qmtpd.ts";
import { type Door, DoorServer } from "../../../qmail/qmtpd/service.ts";
import { FakeQueue } from "../smtpd/_world.ts";

class Service implements AsyncDisposable {
  readonly home = mkdtempSync(join(tmpdir(), "qmailctl-qmtp-service-"));
  readonly queue = new FakeQueue();
  readonly log: string[] = [];
  readonly server: DoorServer;

  constructor(door: Door, controls: Readonly<Record<string, string>>, concurrency = 10) {
    mkdirSync(join(this.home, "control"));
    for (const [name, text] of Object.entries({ me: "mail.test", ...controls })) {
      writeFileSync(join(this.home, "control", name), `${text}\n`);
    }
    const relayFrom = new BlockList();
    relayFrom.addSubnet("127.0.0.0", 8);
    this.server = new DoorServer(door, {
      listen: [{ host: "127.0.0.1", port: 0 }],
      concurrency,
      relayFrom,
      home: this.home,
      env: {},
      log: (line) => this.log.push(line),
    });
  }

  async start(): Promise<this> {
    await this.server.bind();
    this.server.reread();
    this.server.serve(this.queue);
    return this;
  }

  call(localAddress = "127.0.0.1") {
    const socket = connect({
      port: this.server.ports[0] as number,
      host: "127.0.0.1",
      localAddress,
    });
    socket.on("error", () => {});
    return socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.end();
    rmSync(this.home, { recursive: true });
  }
}

for (const door of [QMTP_DOOR, QMQP_DOOR]) {
  test(`${door.name}: who is too slow is let go, and that is in the log`, {
    timeout: 60_000,
  }, async () => {
    await using service = await new Service(door, { timeoutsmtpd: "1" }).start();
    const socket = service.call();
    socket.write(door === QMTP_DOOR ? "1000:\n" : "1000:900:");
    const drip = setInterval(() => socket.write("x"), 100);
    // What drips in when it has been let go may be answered with a reset: that is no error here.
    await new Promise((resolve) => socket.once("close", resolve));
    clearInterval(drip);
    while (service.log.length === 0) await new Promise(setImmediate);
    assert.deepEqual(service.log, [`${door.name} 1: broken ip=127.0.0.1 why=timeout\n`]);
    assert.equal(service.queue.underWay, 0);
  });
}

test("when the queue's filesystem is nearly full a message is put off", {
  timeout: 60_000,
}, async () => {
  for (const [door, input] of [
    [QMTP_DOOR, "2:\nx,3:a@b,8:5:c@d.e,,"],
    [QMQP_DOOR, "19:2:x\n,3:a@b,5:c@d.e,,"],
  ] as const) {
    await using service = new Service(door, { minfree: String(Number.MAX_SAFE_INTEGER) });
    mkdirSync(join(service.home, "queue"));
    await service.start();
    const socket = service.call();
    socket.end(input);
    const answer = (await socket.setEncoding("latin1").toArray()).join("");
    assert.equal(answer, "52:Zno room for more mail now, try again later (#4.3.1),");
    assert.equal(service.queue.messages.length, 0);
  }
});

test("a place of the greedy goes to who has none", { timeout: 60_000 }, async () => {
  await using service = await new Service(QMTP_DOOR, {}, 3).start();
  const greedy = [service.call("127.0.0.2"), service.call("127.0.0.2")];
  const gone = Promise.race(
    greedy.map((socket) => new Promise((resolve) => socket.once("close", resolve))),
  );
  for (const socket of greedy) if (socket.connecting) await once(socket, "connect");
  const late = service.call("127.0.0.3");
  late.end("2:\nx,3:a@b,8:5:c@d.e,,");
  assert.match((await late.setEncoding("latin1").toArray()).join(""), /^\d+:Kok /);
  await gone;
  assert.match(service.log.join(""), /why=sent_away\n/);
});
