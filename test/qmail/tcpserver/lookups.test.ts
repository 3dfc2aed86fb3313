/**
 * What tcpserver finds out about a client: its name in DNS and what IDENT says, with stand-ins for both servers, beside
 * Debian's tcpserver where that is installed. Both servers have ports that only root may take.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Answer, decode, encode } from "dns-packet";
import { tcprules } from "../../../qmail/tcpserver/tcprules.ts";

const TCPSERVERS = {
  ours: [
    process.execPath,
    fileURLToPath(new URL("../../../qmail/tcpserver/tcpserver.ts", import.meta.url)),
  ],
  "Debian's": ["/usr/bin/tcpserver"],
};
/** Clients: one whose name leads back to it, one whose name does not, one without. */
const [HONEST, LIAR, NAMELESS] = ["127.0.0.5", "127.0.0.6", "127.0.0.7"] as const;
/** Whose IDENT server takes connections and says nothing. */
const SILENT = LIAR;
const NAME_SERVER = "127.0.0.53";
const RECORDS: Readonly<Record<string, string>> = {
  "PTR 5.0.0.127.in-addr.arpa": "Client.Example.test",
  "A client.example.test": HONEST,
  "PTR 6.0.0.127.in-addr.arpa": "liar.example.test",
  "A liar.example.test": HONEST,
  "PTR 1.0.0.127.in-addr.arpa": "server.example.test",
};

async function nameServer(): Promise<UdpSocket> {
  const socket = createSocket("udp4");
  socket.on("message", (bytes, { address, port }) => {
    const { id, questions = [] } = decode(bytes);
    const [question] = questions;
    const data = RECORDS[`${question?.type} ${question?.name.toLowerCase()}`];
    const answers = data ? [{ type: question?.type, name: question?.name, data } as Answer] : [];
    // Authoritative, recursion available; 3: there is no such name.
    const flags = 0x0480 | (data ? 0 : 3);
    socket.send(encode({ type: "response", id, flags, questions, answers }), port, address);
  });
  socket.bind(53, NAME_SERVER);
  await once(socket, "listening");
  return socket;
}

/** RFC 1413: port of the client, port of the server; who it is. */
async function identServer(address: string, user: string | null): Promise<Server> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (question) => {
      const [, theirs, ours] = /^(\d+) , (\d+)\r\n$/.exec(String(question)) ?? [];
      if (user !== null) socket.end(`${theirs} , ${ours} : USERID : UNIX : ${user}\r\n`);
    });
  });
  server.listen(113, address);
  await once(server, "listening");
  return server;
}

const stands = await Promise.all([
  nameServer(),
  identServer(HONEST, "joe"),
  identServer(SILENT, null),
]).catch(() => null);
after(() => {
  for (const stand of stands ?? []) stand.close();
});
const skip = stands ? false : "needs root, for the ports of DNS and IDENT";

const directory = mkdtempSync(join(tmpdir(), "qmailctl-lookups-"));
after(() => rmSync(directory, { recursive: true }));

/** The three variables that a client from each address gets with `options`, as `host info local`. */
async function seen(
  [program = "", ...first]: readonly string[],
  options: readonly string[],
  clients: readonly string[],
): Promise<string[]> {
  // A dash for one that is not set.
  const [host, info, local] = ["REMOTEHOST", "REMOTEINFO", "LOCALHOST"].map(
    (name) => `\${TCP${name}--}`,
  );
  const show = `echo "${host} ${info} ${local} $RULE"`;
  const args = [...first, "-1", ...options, "127.0.0.1", "0", "sh", "-c", show];
  const child = spawn(program, args, {
    env: { PATH: process.env.PATH, DNSCACHEIP: NAME_SERVER },
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const [line] = await once(child.stdout, "data");
    const port = Number(line);
    const answers = clients.map((localAddress) =>
      text(connect({ port, host: "127.0.0.1", localAddress })),
    );
    return (await Promise.all(answers)).map((answer) => answer.trim());
  } finally {
    const exit = once(child, "exit");
    child.kill("SIGTERM");
    await exit;
  }
}

for (const [whose, command] of Object.entries(TCPSERVERS)) {
  const missing = existsSync(command[0] ?? "") ? skip : "needs Debian's ucspi-tcp";
  const options = { skip: missing, timeout: 120_000 };

  test(
    `${whose}: names of both ends, in lower case, and who made the connection`,
    options,
    async () => {
      assert.deepEqual(await seen(command, [], [HONEST, NAMELESS]), [
        "client.example.test joe server.example.test",
        "- - server.example.test",
      ]);
    },
  );

  test(`${whose}: -p wants a name that leads back, -P does not`, options, async () => {
    const clients = [HONEST, LIAR];
    assert.deepEqual(await seen(command, ["-Rl0", "-p"], clients), [
      "client.example.test - 0",
      "- - 0",
    ]);
    assert.deepEqual(await seen(command, ["-Rl0", "-pP"], clients), [
      "client.example.test - 0",
      "liar.example.test - 0",
    ]);
  });

  test(`${whose}: -H, -R and -l ask nobody, -h and -r do again`, options, async () => {
    assert.deepEqual(await seen(command, ["-HRl", "me"], [HONEST]), ["- - me"]);
    assert.deepEqual(await seen(command, ["-HhRrl", "me"], [HONEST]), [
      "client.example.test joe me",
    ]);
  });

  test(`${whose}: -t bounds what an IDENT server may take that says nothing`, options, async () => {
    const began = performance.now();
    assert.deepEqual(await seen(command, ["-Hl0", "-t", "1"], [SILENT]), ["- - 0"]);
    const took = performance.now() - began;
    assert.ok(took > 900 && took < 20_000, `${took} ms`);
  });

  test(`${whose}: rules by user and by name`, options, async () => {
    const rules = join(directory, "rules.cdb");
    const table = [
      'joe@=client.example.test:allow,RULE="user and name"',
      "=liar.example.test:deny",
      ':allow,RULE="all"',
    ];
    tcprules(`${table.join("\n")}\n`, { cdb: rules, temporary: `${rules}.tmp` });
    const clients = [HONEST, LIAR, NAMELESS];
    assert.deepEqual(await seen(command, ["-l0", "-t1", "-x", rules], clients), [
      "client.example.test joe 0 user and name",
      "",
      "- - 0 all",
    ]);
  });
}
