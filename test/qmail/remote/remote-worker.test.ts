import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { TLSSocket } from "node:tls";
import type { GateClock } from "../../../qmail/remote/gate.ts";
import type { RemoteConfig } from "../../../qmail/remote/remote.ts";
import { type RemoteOrder, RemoteWorker } from "../../../qmail/remote/remote-worker.ts";
import { bufferMessage } from "../../../qmail/spawn/message.ts";
import { makeAuthority, withoutOpenssl } from "./_authority.ts";
import {
  type Behaviour,
  Conversation,
  type FarServer,
  farServer,
  near,
  secureServer,
} from "./_server.ts";

const MESSAGE = bufferMessage(Buffer.from("Subject: x\n\ny\n"));
const NO_FLOW = { hold() {}, free() {} };
const CLOCK: GateClock = { now: Date.now, after: (ms, action) => void setTimeout(action, ms) };

function order(change: Partial<RemoteOrder> = {}): RemoteOrder {
  const addresses = { sender: "me@near.test", recipient: "you@far.test" };
  return { messid: "1", made: "1", host: "far.test", ...addresses, message: MESSAGE, ...change };
}

async function world(options: string, behaviour: Behaviour = {}) {
  const far: FarServer = await farServer(behaviour);
  const here = near({ smtproutes: `:127.0.0.1:${far.port}`, remoteoptions: options });
  const worker = new RemoteWorker(() => here.config, CLOCK, NO_FLOW);
  return {
    far,
    worker,
    async [Symbol.asyncDispose]() {
      here[Symbol.dispose]();
      await far[Symbol.asyncDispose]();
    },
  };
}

const verbs = (far: FarServer) => far.commands.map((line) => line.split(" ")[0]);

test("one message after another goes over one connection", async () => {
  await using w = await world(":");
  for (const messid of ["1", "2", "3"]) {
    assert.equal((await w.worker.deliver(order({ messid }))).status, "K");
  }
  assert.equal(w.far.connections, 1);
  assert.equal(w.far.messages.length, 3);
  assert.equal(verbs(w.far).filter((verb) => verb === "EHLO").length, 1);
});

test("a server that says 421 to the first command of a used connection is called anew at once", async () => {
  for (const EHLO of ["250 far.test", "250-far.test\r\n250 PIPELINING"]) {
    let mails = 0;
    await using w = await world(":", {
      EHLO,
      MAIL: (socket) => (++mails === 2 ? void socket.end("421 4.4.2 idle\r\n") : "250 ok"),
    });
    for (const messid of ["1", "2", "3"]) {
      assert.equal((await w.worker.deliver(order({ messid }))).status, "K");
    }
    assert.equal(w.far.messages.length, 3);
    assert.ok(w.far.connections >= 2);
  }
});

test("a server that says 421 to the first command of a new connection is left alone", async () => {
  await using w = await world(":", { MAIL: (socket) => void socket.end("421 4.7.0 busy\r\n") });
  const report = await w.worker.deliver(order());
  assert.equal(report.status, "Z");
  assert.match(report.text, /Remote host said: 421 4\.7\.0 busy/);
  assert.equal(w.far.connections, 1);
});

test("a short message and its end are one write, so that nothing waits for an acknowledgement", async () => {
  const pieces: string[] = [];
  await using w = await world(":", {
    DATA: (socket) => {
      socket.on("data", (bytes: Buffer) => pieces.push(bytes.toString("latin1")));
      return "354 go";
    },
  });
  assert.equal((await w.worker.deliver(order())).status, "K");
  assert.deepEqual(pieces.slice(0, 1), ["Subject: x\r\n\r\ny\r\n.\r\n"]);
});

test("a connection is used as often as the options say", async () => {
  await using w = await world(":reuse=2");
  for (const messid of ["1", "2", "3", "4"]) await w.worker.deliver(order({ messid }));
  assert.equal(w.far.connections, 2);
});

test("no more connections at once than the options say", async () => {
  let now = 0;
  let most = 0;
  const end: Behaviour["end"] = (socket) => {
    most = Math.max(most, ++now);
    setTimeout(() => {
      now--;
      socket.write("250 taken\r\n");
    }, 20);
  };
  await using w = await world(":concurrency=3", { end });
  const all = Array.from({ length: 12 }, (_, at) =>
    w.worker.deliver(order({ messid: String(at) })),
  );
  assert.ok((await Promise.all(all)).every(({ status }) => status === "K"));
  assert.equal(most, 3);
  assert.equal(w.far.connections, 3);
});

test("a domain is held while it has all that it can take, and freed when it can take more", async () => {
  const answers: (() => void)[] = [];
  await using far = await farServer({
    end: (socket) => void answers.push(() => void socket.write("250 taken\r\n")),
  });
  using here = near({ smtproutes: `:127.0.0.1:${far.port}` });
  const told: string[] = [];
  const flow = {
    hold: (host: string) => void told.push(`hold ${host}`),
    free: (host: string) => void told.push(`free ${host}`),
  };
  const worker = new RemoteWorker(() => here.config, CLOCK, flow);
  const all = ["1", "2"].map((messid) => worker.deliver(order({ messid })));
  assert.deepEqual(told, ["hold far.test"]);
  all.push(worker.deliver(order({ messid: "3", host: "also.test" })));
  assert.deepEqual(told, ["hold far.test", "hold also.test"]);
  const timer = setInterval(() => answers.shift()?.(), 5);
  await Promise.all(all);
  clearInterval(timer);
  assert.deepEqual(told.slice(2).sort(), ["free also.test", "free far.test"]);
});

test("recipients of one message go one by one, or together where the options say so", async () => {
  for (const [options, messages] of [
    [":", 3],
    [":recipients=10", 1],
    [":recipients=2", 2],
  ] as const) {
    await using w = await world(options, {
      RCPT: (_, line) => (line.includes("nobody") ? "550 nobody" : "250 ok"),
    });
    const reports = await Promise.all(
      ["a@far.test", "b@far.test", "nobody@far.test", "d@far.test"].map((recipient) =>
        w.worker.deliver(order({ recipient })),
      ),
    );
    assert.deepEqual(
      reports.map(({ status }) => status),
      ["K", "K", "D", "K"],
    );
    assert.equal(w.far.messages.length, options === ":recipients=2" ? 2 : messages, options);
  }
});

test("what differs in sender or message goes by itself", async () => {
  await using w = await world(":recipients=10");
  await Promise.all([
    w.worker.deliver(order()),
    w.worker.deliver(order({ recipient: "b@far.test" })),
    w.worker.deliver(order({ messid: "2" })),
    w.worker.deliver(order({ sender: "list-owner-you=far.test@near.test" })),
  ]);
  assert.equal(w.far.messages.length, 3);
});

test("a number that another message has by now is another message", async () => {
  await using w = await world(":recipients=10");
  const other = bufferMessage(Buffer.from("Subject: other\n\nz\n"));
  const reports = await Promise.all([
    w.worker.deliver(order()),
    w.worker.deliver(order({ made: "2", recipient: "b@far.test", message: other })),
  ]);
  assert.deepEqual(
    reports.map(({ status }) => status),
    ["K", "K"],
  );
  assert.deepEqual(w.far.messages, ["Subject: x\r\n\r\ny\r\n", "Subject: other\r\n\r\nz\r\n"]);
});

test("a control file that is wrong for a while keeps no message for longer", async () => {
  await using far = await farServer();
  using here = near({ smtproutes: `:127.0.0.1:${far.port}`, remoteoptions: ":recipients=10" });
  for (let first = 1; first <= 4; first++) {
    let asked = 0;
    const worker = new RemoteWorker(
      () => {
        // Wrong from one look on, for three of them.
        asked++;
        if (asked >= first && asked < first + 3) throw new Error("cannot read controls");
        return here.config;
      },
      CLOCK,
      NO_FLOW,
    );
    const report = () => worker.deliver(order()).catch(() => null);
    let last = await report();
    for (let tries = 1; tries < 5 && last?.status !== "K"; tries++) last = await report();
    assert.equal(last?.status, "K", `wrong from look ${first}`);
  }
});

test("a message that cannot be read leaves nothing behind it", async () => {
  await using w = await world(":recipients=10 8bit=refuse concurrency=1");
  const unreadable = {
    size: 10,
    async *chunks() {
      yield* [];
      throw new Error("gone");
    },
  };
  const report = await w.worker.deliver(order({ message: unreadable }));
  assert.deepEqual(report, { status: "Z", text: "Unable to read message. (#4.3.0)\n" });
  assert.equal((await w.worker.deliver(order())).status, "K");
});

test("client certificates by domain on one relay: nothing is mixed", {
  skip: withoutOpenssl,
}, async () => {
  using authority = makeAuthority();
  const seen: string[] = [];
  await using far: FarServer = await farServer({
    EHLO: "250-far.test\r\n250 STARTTLS",
    STARTTLS: (socket) => {
      socket.removeAllListeners("data");
      socket.write("220 go\r\n");
      const { cert, key } = authority.issue("relay.test");
      const secure = new TLSSocket(socket, { isServer: true, cert, key, requestCert: true });
      const hidden: Behaviour = {
        RCPT: (_, line) => {
          seen.push(`${line.slice("RCPT TO:".length)} ${secure.getPeerCertificate().subject.CN}`);
          return "250 ok";
        },
      };
      new Conversation(secure, hidden, far);
    },
  });
  const domains = ["a.test", "b.test", "c.test"];
  using here = near({
    smtproutes: `:127.0.0.1:${far.port}`,
    remoteoptions: domains.map((name) => `${name}:cert=control/${name}.pem`).join("\n"),
  });
  for (const domain of domains) {
    const { cert, key } = authority.issue(domain);
    writeFileSync(join(here.home, `control/${domain}.pem`), cert + key);
  }
  const worker = new RemoteWorker(() => here.config, CLOCK, NO_FLOW);
  for (let round = 1; round <= 3; round++) {
    const reports = domains.map((host, at) => {
      const messid = `${round}${at}`;
      return worker.deliver(order({ messid, host, recipient: `you@${host}` }));
    });
    for (const { status, text } of await Promise.all(reports)) assert.equal(status, "K", text);
  }
  const expected = domains.map((name) => `<you@${name}> ${name}`);
  assert.deepEqual(seen.sort(), [...expected, ...expected, ...expected].sort());
  assert.equal(far.connections, domains.length);
});

test("mail that must be verified goes over no connection that was made without", {
  skip: withoutOpenssl,
}, async () => {
  using authority = makeAuthority();
  await using far = await secureServer(authority.issue("relay.test"));
  using here = near({
    smtproutes: `:127.0.0.1:${far.port}`,
    remoteoptions:
      `verified.test:tls=verify name=relay.test ca=${authority.file}\n` +
      `other.test:tls=verify name=other.test ca=${authority.file}\n` +
      "stranger.test:tls=verify name=relay.test",
  });
  const worker = new RemoteWorker(() => here.config, CLOCK, NO_FLOW);
  const deliver = async (host: string) => (await worker.deliver(order({ host }))).text;
  assert.match(await deliver("verified.test"), /, verified \(route\)/);
  assert.match(await deliver("other.test"), /the certificate is not for other\.test/);
  assert.match(await deliver("stranger.test"), /the certificate is not trusted/);
});

test("a server that hung up on a kept connection is called again", async () => {
  await using w = await world(":", {
    MAIL: (socket) => {
      // Every connection serves one message.
      if (served.has(socket)) return socket.destroy();
      served.add(socket);
      return "250 ok";
    },
  });
  assert.equal((await w.worker.deliver(order())).status, "K");
  assert.equal((await w.worker.deliver(order())).status, "K");
  assert.equal(w.far.connections, 2);
});
const served = new WeakSet<object>();

test("a refusal ends the connection, and the next message has a new one", async () => {
  let count = 0;
  await using w = await world(":", { end: () => (count++ === 0 ? "554 spam" : "250 taken") });
  assert.equal((await w.worker.deliver(order())).status, "D");
  assert.equal((await w.worker.deliver(order())).status, "K");
  assert.equal(w.far.connections, 2);
});

test("who does not answer is left alone for a while, and others are not held up", async () => {
  await using live = await farServer();
  using here = near({ smtproutes: `live.test:127.0.0.1:${live.port}\n:127.0.0.1:1` });
  const world = { ms: 0 };
  const worker = new RemoteWorker(
    () => here.config,
    { now: () => world.ms, after: () => {} },
    NO_FLOW,
  );
  const dead = (messid: string) => worker.deliver(order({ messid }));
  assert.deepEqual(await dead("1"), {
    status: "Z",
    text: "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n",
  });
  const reports = await Promise.all(Array.from({ length: 100 }, (_, at) => dead(String(at))));
  for (const { status, text } of reports) {
    assert.equal(status, "Z");
    assert.match(text, /\(#4\.4\.1\)\nThat was a moment ago; it was not tried again/);
  }
  const other = await worker.deliver(order({ host: "live.test", recipient: "you@live.test" }));
  assert.equal(other.status, "K");
  world.ms += 60_000;
  assert.doesNotMatch((await dead("2")).text, /a moment ago/);
});

test("a flush has all tried again, that of a domain what goes there, by whatever server", async () => {
  using here = near({ smtproutes: ":127.0.0.1:1", senderroutes: "relay.test:127.0.0.1:2" });
  const clock = { now: () => ms, after: () => {} };
  let ms = 1000;
  const worker = new RemoteWorker(() => here.config, clock, NO_FLOW);
  const tried = async (change: Partial<RemoteOrder> = {}) => {
    const { text } = await worker.deliver(order(change));
    return !text.includes("was not tried again");
  };
  assert.equal(await tried(), true);
  assert.equal(await tried(), false);
  ms++;
  worker.flush("elsewhere.test");
  assert.equal(await tried(), false);
  worker.flush("FAR.test");
  ms++;
  assert.equal(await tried({ host: "Far.Test" }), true);
  assert.equal(await tried(), false);
  worker.flush("");
  assert.equal(await tried(), true);
});

test("a domain that was let go by a flush is held again while its servers have enough", async () => {
  const answers: (() => void)[] = [];
  await using far = await farServer({
    end: (socket) => void answers.push(() => void socket.write("250 taken\r\n")),
  });
  using here = near({ smtproutes: `:127.0.0.1:${far.port}` });
  const told: string[] = [];
  const flow = {
    hold: (host: string) => void told.push(`hold ${host}`),
    free: (host: string) => void told.push(`free ${host}`),
  };
  const worker = new RemoteWorker(() => here.config, CLOCK, flow);
  const all = ["1", "2", "3"].map((messid) => worker.deliver(order({ messid })));
  assert.deepEqual(told, ["hold far.test"]);
  worker.flush("other.test");
  assert.deepEqual(told.splice(0), ["hold far.test"]);
  worker.flush("");
  worker.flush("far.test");
  assert.deepEqual(told.splice(0), ["hold far.test", "hold far.test"]);
  const timer = setInterval(() => answers.shift()?.(), 5);
  await Promise.all(all);
  clearInterval(timer);
  assert.deepEqual(told, ["free far.test"]);
});

test("a domain that has answered is free before its first message is through", async () => {
  const told: string[] = [];
  const freed = Promise.withResolvers<void>();
  let answer = () => {};
  await using far = await farServer({
    end: (socket) => {
      answer = () => void socket.write("250 taken\r\n");
    },
  });
  using here = near({ smtproutes: `:127.0.0.1:${far.port}` });
  const worker = new RemoteWorker(() => here.config, CLOCK, {
    hold: () => void told.push("hold"),
    free: () => freed.resolve(),
  });
  const first = worker.deliver(order());
  await freed.promise;
  assert.deepEqual(told, ["hold"]);
  while (far.messages.length === 0) await new Promise(setImmediate);
  answer();
  assert.equal((await first).status, "K");
});

test("of servers that say nothing no more are waited for than leaves half of the slots", async () => {
  const silent = { greeting: () => {} };
  await using far = await farServer(silent);
  // Each domain has its own name, and so is a destination of its own.
  const routes = ["a", "b"].map((name) => `${name}.test:${name}.far.test:${far.port}`);
  using apart = near(
    { smtproutes: routes.join("\n"), concurrencyremote: "2", timeoutremote: "30" },
    { zone: { "A a.far.test": ["127.0.0.1"], "A b.far.test": ["127.0.0.1"] } },
  );
  const timers: (() => void)[] = [];
  let time = 0;
  const clock = {
    now: () => time,
    after: (_: number, action: () => void) => void timers.push(action),
  };
  const worker = new RemoteWorker(() => apart.config, clock, NO_FLOW);
  const first = worker.deliver(order({ host: "a.test", recipient: "x@a.test" }));
  const second = worker.deliver(order({ host: "b.test", recipient: "x@b.test" }));
  while (far.connections < 2) await new Promise(setImmediate);
  assert.equal(timers.length, 1);
  time = 10_000;
  for (const action of timers.splice(0)) action();
  assert.match((await first).text, /^Connected to 127\.0\.0\.1 but connection died/);
  assert.deepEqual(timers, []);
  await far[Symbol.asyncDispose]();
  await second;
});

test("a control file that cannot be used defers the mail, and says nothing to the sender", async () => {
  using here = near({ remoteoptions: ":auth=relay" });
  const config: RemoteConfig = here.config;
  const worker = new RemoteWorker(() => config, CLOCK, NO_FLOW);
  assert.deepEqual(await worker.deliver(order()), {
    status: "Z",
    text: "Unable to read control files. (#4.3.0)\n",
  });
});

test("told to leave, it waits for the answer to what is sent, and puts the rest off", async () => {
  const after: (() => void)[] = [];
  const clock: GateClock = { now: Date.now, after: (_, action) => void after.push(action) };
  const [atEnd, atRcpt, atGreeting] = [1, 2, 3].map(() => Promise.withResolvers<Socket>());
  const silently = (reached: typeof atEnd) => (socket: Socket) => void reached?.resolve(socket);
  await using sent = await farServer({ end: silently(atEnd) });
  await using stuck = await farServer({ RCPT: silently(atRcpt) });
  await using silent = await farServer({ greeting: silently(atGreeting) });
  using here = near({
    smtproutes: [
      `sent.test:127.0.0.1:${sent.port}`,
      `stuck.test:127.0.0.1:${stuck.port}`,
      `silent.test:127.0.0.1:${silent.port}`,
    ].join("\n"),
  });
  const worker = new RemoteWorker(() => here.config, clock, NO_FLOW);
  const deliver = (host: string) => worker.deliver(order({ host }));
  const critical = deliver("sent.test");
  // The second for the same server waits at its gate.
  const put = [deliver("stuck.test"), deliver("silent.test"), deliver("silent.test")];
  const [answering] = await Promise.all([atEnd?.promise, atRcpt?.promise, atGreeting?.promise]);
  worker.leave();
  for (const action of after.splice(0)) action();
  for (const report of await Promise.all(put)) {
    assert.deepEqual(report, {
      status: "Z",
      text: "I was told to leave before the message was sent; it will be tried again. (#4.3.2)\n",
    });
  }
  assert.equal(stuck.messages.length, 0);
  answering?.write("250 taken\r\n");
  assert.equal((await critical).status, "K");
});
