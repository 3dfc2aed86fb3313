/** The QMQP client: which server it asks, what it sends, and the exit code that comes of it. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { programPath } from "../../../qmail/programs.ts";
import { offer, parseServer } from "../../../qmail/qmqpd/qmqp-client.ts";
import { formatEnvelope } from "../../../qmail/queue/envelope.ts";

const REQUEST = "41:6:a\nbody,5:a@b.c,11:x@mail.test,6:y@d.ef,,";
const MESSAGE = {
  pieces: [Buffer.from("a\n"), Buffer.from("body")],
  sender: "a@b.c",
  recipients: ["x@mail.test", "y@d.ef"],
};
const TIMEOUTS = { connectMs: 5000, talkMs: 5000 };

/** A server that answers a whole request with `answer` and hangs up; `requests` is what came. */
async function serve(
  answer: string,
): Promise<{ server: Server; port: number; requests: string[] }> {
  const requests: string[] = [];
  const server = createServer((socket) => {
    let request = "";
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      request += chunk.toString("latin1");
      const [, size = "", rest = ""] = /^(\d+):(.*)$/s.exec(request) ?? [];
      if (size === "" || rest.length <= Number(size)) return;
      requests.push(request);
      socket.end(answer);
    });
  }).listen(0, "127.0.0.1");
  after(() => server.close());
  await once(server, "listening");
  return { server, port: (server.address() as { port: number }).port, requests };
}

/** A port that nobody listens on. */
async function deadPort(): Promise<number> {
  const { server, port } = await serve("");
  server.close();
  await once(server, "close");
  return port;
}

test("servers", () => {
  const rows = [
    ["192.0.2.1", { host: "192.0.2.1", port: 628 }],
    ["hub.example.com:2628", { host: "hub.example.com", port: 2628 }],
    ["[2001:db8::1]", { host: "2001:db8::1", port: 628 }],
    ["[::1]:9", { host: "::1", port: 9 }],
    ["2001:db8::1", null],
    ["a b", null],
    ["hub:99999", null],
    ["", null],
  ] as const;
  for (const [line, server] of rows) assert.deepEqual(parseServer(line), server, line);
});

const ANSWERS = [
  ["10:Kok 1 qp 2,", 0],
  ["3:Zno,", 71],
  ["3:Dno,", 31],
  ["3:?no,", 74],
  ["", 74],
  ["5:Kok", 74],
  ["nonsense", 74],
] as const;

for (const [answer, code] of ANSWERS) {
  test(`the answer "${answer}" is exit code ${code}`, async () => {
    const { port, requests } = await serve(answer);
    const other = await serve("10:Kok 1 qp 2,");
    const servers = [port, other.port].map((each) => ({ host: "127.0.0.1", port: each }));
    assert.equal(await offer(servers, MESSAGE, TIMEOUTS), code);
    assert.deepEqual(requests, [REQUEST]);
    // It may have the message: to ask another might make two of it.
    assert.deepEqual(other.requests, []);
  });
}

test("the next server when one cannot be reached", async () => {
  const { port, requests } = await serve("10:Kok 1 qp 2,");
  const ports = [await deadPort(), await deadPort(), port];
  const servers = ports.map((each) => ({ host: "127.0.0.1", port: each }));
  assert.equal(await offer(servers, MESSAGE, TIMEOUTS), 0);
  assert.deepEqual(requests, [REQUEST]);
  assert.equal(await offer(servers.slice(0, 2), MESSAGE, TIMEOUTS), 73);
  assert.equal(await offer([], MESSAGE, TIMEOUTS), 55);
});

test("a server that does not answer in time", async () => {
  const server = createServer(() => {}).listen(0, "127.0.0.1");
  after(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const servers = [{ host: "127.0.0.1", port }];
  assert.equal(await offer(servers, MESSAGE, { connectMs: 5000, talkMs: 50 }), 74);
});

/** qmail-qmqpc with `servers` in its control file; null for none. Resolves with its exit code. */
async function program(servers: string | null, envelope: Buffer): Promise<number> {
  const home = mkdtempSync(join(tmpdir(), "qmail-qmqpc-"));
  after(() => rmSync(home, { recursive: true, force: true }));
  mkdirSync(join(home, "control"));
  if (servers !== null) writeFileSync(join(home, "control/qmqpservers"), servers);
  const child = spawn(process.execPath, [programPath("qmqpd/qmail-qmqpc")], {
    env: { PATH: process.env.PATH, QMAILHOME: home },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const input = child.stdout as unknown as NodeJS.WritableStream;
  for (const stream of [child.stdin, input]) stream.on("error", () => {});
  child.stdin.end("a\nbody");
  input.end(envelope);
  const [code] = await once(child, "exit");
  return code;
}

test("the program: message and envelope as qmail-queue takes them", async () => {
  const { port, requests } = await serve("10:Kok 1 qp 2,");
  const envelope = formatEnvelope(MESSAGE);
  assert.equal(await program(`# hubs\n127.0.0.1:${port}\n`, envelope), 0);
  assert.deepEqual(requests, [REQUEST]);
  assert.equal(await program(null, envelope), 55);
  assert.equal(await program("no server\n", envelope), 55);
  assert.equal(await program(`127.0.0.1:${port}\n`, Buffer.from("Fa@b.c")), 91);
  assert.equal(await program(`127.0.0.1:${port}\n`, Buffer.from("Ta@b.c\0\0")), 91);
});
