/** The service's connections: how many, for whom, and how they end. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { openRelay, RELAY_DIRECTORY } from "../../../qmail/checkpassword/relay.ts";
import { parseRelayFrom } from "../../../qmail/smtpd/options.ts";
import { type ServerOptions, SmtpServer } from "../../../qmail/smtpd/server.ts";
import { tcprules } from "../../../qmail/tcpserver/tcprules.ts";
import { Replies } from "./_dialog.ts";
import { FakeQueue, Home } from "./_world.ts";

/** A running service on a port of its own. */
class Service implements AsyncDisposable {
  readonly home = new Home({ rcpthosts: "mail.test\n", timeoutsmtpd: "60\n" });
  readonly queue = new FakeQueue();
  readonly log: string[] = [];
  readonly server: SmtpServer;
  environment: NodeJS.ProcessEnv = {};
  program: string | undefined;

  constructor(options: Partial<ServerOptions> = {}) {
    this.server = new SmtpServer({
      listen: [{ host: "127.0.0.1", port: 0, tls: false }],
      concurrency: 10,
      perClient: 10,
      submission: null,
      relayFrom: relayFrom(""),
      rules: "control/tcp.smtp.cdb",
      home: this.home.path,
      env: {},
      log: (line) => this.log.push(line),
      ...options,
    });
  }

  async start(): Promise<this> {
    await this.server.bind();
    const queueFor = (env: () => NodeJS.ProcessEnv, program: string | undefined) => {
      this.environment = env();
      this.program = program;
      return this.queue;
    };
    this.server.serve({ queueFor, certificates: null, auth: null });
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.end(0);
    this.home[Symbol.dispose]();
  }
}

function relayFrom(text: string) {
  const list = parseRelayFrom(text);
  assert.ok(list);
  return list;
}

class Caller {
  readonly socket: Socket;
  readonly #replies = new Replies();

  constructor({ server }: Service, host = "127.0.0.1", localAddress?: string) {
    const from = localAddress === undefined ? {} : { localAddress };
    this.socket = connect({ port: server.ports[0] as number, host, noDelay: true, ...from });
    this.socket.on("data", (chunk) => this.#replies.push(chunk.toString("latin1")));
    this.socket.on("end", () => this.#replies.end());
    this.socket.on("error", () => this.#replies.end());
  }

  /** Sends `line`, if any, and takes the next reply. */
  async say(line?: string): Promise<string | null> {
    if (line !== undefined) this.socket.write(`${line}\r\n`);
    return this.#replies.next();
  }

  async expect(line: string | undefined, reply: RegExp): Promise<void> {
    assert.match((await this.say(line)) ?? "(closed)", reply);
  }
}

test("SmtpServer sends away who comes when all places are taken", async () => {
  await using service = await new Service({ concurrency: 1 }).start();
  const first = new Caller(service);
  await first.expect(undefined, /^220 /);
  for (let n = 0; n < 3; n++) {
    const second = new Caller(service);
    assert.equal(await second.say(), "421 too many connections, try again later (#4.3.2)");
    assert.equal(await second.say(), null);
  }
  assert.deepEqual(service.log, ["smtpd: warning: all 1 connections are in use, sent away 1\n"]);
  await first.expect("QUIT", /^221 /);
  first.socket.end();
  await once(first.socket, "close");
  const third = new Caller(service);
  await third.expect(undefined, /^220 /);
});

test("SmtpServer tells the queue's programs who the client is", async () => {
  await using service = await new Service({ relayFrom: relayFrom("127.0.0.2") }).start();
  for (const [host, relayclient] of [
    ["127.0.0.1", undefined],
    ["127.0.0.2", ""],
  ] as const) {
    const socket = connect({
      port: service.server.ports[0] as number,
      host: "127.0.0.1",
      localAddress: host,
    });
    socket.end("MAIL FROM:<a@b>\r\nRCPT TO:<x@mail.test>\r\nDATA\r\n.\r\n");
    await socket.setEncoding("latin1").toArray();
    assert.equal(service.environment.TCPREMOTEIP, host);
    assert.equal(service.environment.TCPLOCALHOST, "mail.test");
    assert.equal(service.environment.RELAYCLIENT, relayclient);
  }
});

test("SmtpServer lets relay whom --relay-from names, and nobody else", async () => {
  await using service = await new Service({ relayFrom: relayFrom("127.0.0.2/31,::1") }).start();
  for (const [host, reply] of [
    ["127.0.0.1", /^553 /],
    ["127.0.0.2", /^250 ok/],
    ["127.0.0.3", /^250 ok/],
    ["127.0.0.4", /^553 /],
  ] as const) {
    const socket = connect({
      port: service.server.ports[0] as number,
      host: "127.0.0.1",
      localAddress: host,
    });
    socket.end("MAIL FROM:<a@b>\r\nRCPT TO:<x@else.test>\r\n");
    const replies = (await socket.setEncoding("latin1").toArray()).join("").split("\r\n");
    assert.match(replies[2] as string, reply);
  }
});

test("SmtpServer lets relay who has read mail lately, where that is configured", async () => {
  await using service = await new Service().start();
  mkdirSync(join(service.home.path, RELAY_DIRECTORY), { recursive: true });
  openRelay(join(service.home.path, RELAY_DIRECTORY), "127.0.0.2");
  const rcpt = async (localAddress: string) => {
    const socket = connect({
      port: service.server.ports[0] as number,
      host: "127.0.0.1",
      localAddress,
    });
    socket.end("MAIL FROM:<a@b>\r\nRCPT TO:<x@else.test>\r\n");
    return (await socket.setEncoding("latin1").toArray()).join("").split("\r\n")[2];
  };
  assert.match((await rcpt("127.0.0.2")) ?? "", /^553 /);
  service.home.control("popbeforesmtp", "600\n");
  service.server.reread();
  assert.match((await rcpt("127.0.0.2")) ?? "", /^250 /);
  assert.match((await rcpt("127.0.0.1")) ?? "", /^553 /);
});

test("SmtpServer takes RELAYCLIENT of its own environment for everybody", async () => {
  await using service = await new Service({ env: { RELAYCLIENT: ".fix" } }).start();
  const client = new Caller(service);
  await client.expect(undefined, /^220 /);
  await client.expect("MAIL FROM:<a@b>", /^250 /);
  await client.expect("RCPT TO:<x@else.test>", /^250 /);
  await client.expect("DATA", /^354 /);
  await client.expect(".", /^250 /);
  assert.deepEqual(service.queue.messages[0]?.recipients, ["x@else.test.fix"]);
});

test("SmtpServer.reread() counts for sessions that begin behind it", async () => {
  await using service = await new Service().start();
  const early = new Caller(service);
  await early.expect(undefined, /^220 mail\.test /);
  service.home.control("smtpgreeting", "new.test\n");
  service.server.reread();
  const late = new Caller(service);
  await late.expect(undefined, /^220 new\.test /);
  await early.expect("HELO x", /^250 mail\.test$/);
});

test("SmtpServer warns loudly when there is no rcpthosts", async () => {
  await using home = new Home();
  await using service = await new Service({ home: home.path }).start();
  assert.match(service.log.join(""), /warning: control\/rcpthosts is missing: every recipient/);
});

test("SmtpServer.end() ends idle sessions, lets a message finish, and takes nobody new", async () => {
  await using service = await new Service().start();
  const idle = new Caller(service);
  await idle.expect(undefined, /^220 /);
  const busy = new Caller(service);
  await busy.expect(undefined, /^220 /);
  await busy.expect("MAIL FROM:<a@b>", /^250 /);
  await busy.expect("RCPT TO:<x@mail.test>", /^250 /);
  await busy.expect("DATA", /^354 /);
  const ended = service.server.end();
  await idle.expect(undefined, /^421 going down/);
  await busy.expect("hello\r\n.", /^250 ok /);
  await busy.expect(undefined, /^421 going down/);
  idle.socket.end();
  busy.socket.end();
  await ended;
  assert.equal(service.queue.messages.length, 1);
});

test("SmtpServer.end() waits no longer than it was told", async () => {
  await using service = await new Service().start();
  const stuck = new Caller(service);
  await stuck.expect(undefined, /^220 /);
  await stuck.expect("MAIL FROM:<a@b>", /^250 /);
  await stuck.expect("RCPT TO:<x@mail.test>", /^250 /);
  await stuck.expect("DATA", /^354 /);
  await service.server.end(10);
  assert.deepEqual([service.queue.aborted, service.queue.messages.length], [1, 0]);
});

test("SmtpServer takes no mail when the queue's filesystem is nearly full", async () => {
  const made = new Service();
  made.home.control("minfree", `${Number.MAX_SAFE_INTEGER}\n`);
  made.home.control("maxjunk", "1000000\n");
  await using service = await made.start();
  const client = new Caller(service);
  await client.expect(undefined, /^220 /);
  // Without a queue beside it there is nothing to look at.
  await client.expect("MAIL FROM:<a@b>", /^250 /);
  await client.expect("QUIT", /^221 /);
  mkdirSync(join(service.home.path, "queue"));
  made.home.control("minfree", "0\n");
  made.home.control("mininodes", "0\n");
  service.server.reread();
  const taken = new Caller(service);
  await taken.expect(undefined, /^220 /);
  await taken.expect("MAIL FROM:<a@b>", /^250 /);
  made.home.control("minfree", `${Number.MAX_SAFE_INTEGER}\n`);
  service.server.reread();
  const refused = new Caller(service);
  await refused.expect(undefined, /^220 /);
  // What was seen a moment ago may still count.
  const full = "452 no room for more mail now, try again later (#4.3.1)";
  let reply: string | null = null;
  while (reply !== full) {
    reply = await refused.say("MAIL FROM:<a@b>");
    assert.ok(reply === full || reply === "250 ok", String(reply));
  }
  assert.match(service.log.at(-1) ?? "", /event=refused-sender .* reply=452 no room /);
});

/** Resolves when it is so. */
async function until(so: () => boolean): Promise<void> {
  while (!so()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test("SmtpServer gives a place of the greedy to who has none, and says so", async () => {
  await using service = await new Service({ concurrency: 10 }).start();
  // One of our own may have half of them, all together nine.
  const from = (localAddress: string, length: number) =>
    Array.from({ length }, () => new Caller(service, "127.0.0.1", localAddress));
  const greedy = [...from("127.0.0.1", 5), ...from("127.0.0.4", 4)];
  for (const each of greedy) await each.expect(undefined, /^220 /);
  assert.deepEqual(service.log, [
    "smtpd: warning: 9 of 10 connections are in use, patience is short\n",
  ]);
  // Who has no less than others finds no place.
  await new Caller(service).expect(undefined, /^421 /);
  const socket = connect({
    port: service.server.ports[0] as number,
    host: "127.0.0.1",
    localAddress: "127.0.0.2",
  });
  socket.end("MAIL FROM:<a@b>\r\nRCPT TO:<x@mail.test>\r\nDATA\r\n.\r\nQUIT\r\n");
  const replies = (await socket.setEncoding("latin1").toArray()).join("");
  assert.match(replies, /^220 .*\r\n250 ok\r\n250 ok\r\n354 .*\r\n250 ok .*\r\n221 /);
  await greedy[0]?.expect(undefined, /^421 too many connections, try again later \(#4\.3\.2\)$/);
  assert.equal(await greedy[0]?.say(), null);
  await until(() => service.log.some((line) => line.includes("why=sent-away")));
  await greedy[1]?.expect("NOOP", /^250 /);
});

test("SmtpServer breaks off no message that the queue is asked about", async () => {
  const asked = Promise.withResolvers<void>();
  await using service = await new Service({ concurrency: 3 }).start();
  service.queue.closing = asked.promise;
  const callers = [new Caller(service), new Caller(service)];
  for (const each of callers) {
    await each.expect(undefined, /^220 /);
    each.socket.write("MAIL FROM:<a@b>\r\nRCPT TO:<x@mail.test>\r\nDATA\r\n.\r\n");
    for (const code of [/^250/, /^250/, /^354/]) await each.expect(undefined, code);
  }
  await until(() => service.queue.opened === 2 && service.queue.underWay === 0);
  const socket = connect({
    port: service.server.ports[0] as number,
    host: "127.0.0.1",
    localAddress: "127.0.0.2",
  });
  assert.match((await socket.setEncoding("latin1").toArray()).join(""), /^421 /);
  asked.resolve();
  for (const each of callers) await each.expect(undefined, /^250 ok /);
});

test("SmtpServer holds back a client that does not read its replies", async () => {
  const made = new Service();
  made.home.control("maxjunk", "100000000\n");
  await using service = await made.start();
  const { socket } = new Caller(service);
  await once(socket, "data");
  socket.pause();
  const noops = Buffer.from("NOOP\r\n".repeat(10_000));
  // Its replies fill the sockets' buffers; then nothing more is read from it.
  while (socket.writableLength < 8_000_000) socket.write(noops);
  const before = socket.bytesWritten;
  socket.resume();
  let bytes = 0;
  socket.on("data", (chunk) => {
    bytes += chunk.length;
  });
  socket.end();
  await once(socket, "end");
  assert.equal(bytes, (before / "NOOP\r\n".length) * "250 ok\r\n".length);
});

test("SmtpServer listens on IPv6 and knows IPv4 clients of such a socket", async (t) => {
  const service = new Service({
    listen: [{ host: "::", port: 0, tls: false }],
    relayFrom: relayFrom("127.0.0.1"),
  });
  await using running = service;
  try {
    await service.start();
  } catch {
    t.skip("no IPv6 here");
    return;
  }
  const client = new Caller(running);
  await client.expect(undefined, /^220 /);
  await client.expect("MAIL FROM:<a@b>", /^250 /);
  await client.expect("RCPT TO:<x@else.test>", /^250 /);
});

for (const text of ["x", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/8/8", "::1/129", "10.0.0", "/0"]) {
  test(`parseRelayFrom() refuses "${text}"`, () => assert.equal(parseRelayFrom(text), null));
}

test("SmtpServer does what the rules say of a client, from the next connection on", async () => {
  await using service = await new Service().start();
  const cdb = join(service.home.path, "control/tcp.smtp.cdb");
  const rules = (text: string) => tcprules(text, { cdb, temporary: `${cdb}.tmp` });
  const refused = new Caller(service);
  await refused.expect(undefined, /^220 /);
  await refused.expect("MAIL FROM:<a@b.test>", /^250 /);
  await refused.expect("RCPT TO:<c@elsewhere.test>", /^553 /);

  rules(
    '127.0.0.1:allow,RELAYCLIENT="@relay",DATABYTES="77",QMAILQUEUE="bin/filter",A="b"\n:deny\n',
  );
  const client = new Caller(service);
  await client.expect(undefined, /^220 /);
  client.socket.write("EHLO x\r\n");
  for (const line of [/PIPELINING/, /250-SIZE 77$/]) {
    while (!line.test((await client.say()) ?? assert.fail(String(line))));
  }
  while (!/^250 /.test((await client.say()) ?? ""));
  await client.expect("MAIL FROM:<a@b.test>", /^250 /);
  await client.expect("RCPT TO:<c@elsewhere.test>", /^250 /);
  await client.expect("DATA", /^354 /);
  assert.equal(service.program, "bin/filter");
  const { RELAYCLIENT, A } = service.environment;
  assert.deepEqual({ RELAYCLIENT, A }, { RELAYCLIENT: "@relay", A: "b" });

  rules("127.:deny\n");
  const denied = new Caller(service);
  assert.equal(await denied.say(), null);
  assert.match(service.log.at(-1) ?? "", /^smtpd: \S+ event=denied ip=127\.0\.0\.1 rule=127\.\n$/);
});

test("SmtpServer takes nobody while its rules cannot be read", async () => {
  await using service = await new Service().start();
  writeFileSync(join(service.home.path, "control/tcp.smtp.cdb"), "no cdb");
  const client = new Caller(service);
  await client.expect(undefined, /^421 unable to read controls/);
  assert.equal(await client.say(), null);
  assert.match(service.log.at(-1) ?? "", /warning: cannot read the rules: /);
});
