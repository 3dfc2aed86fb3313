/** tcp-env as inetd starts it: the connection is descriptors 0 and 1. */

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { programPath } from "../../../qmail/programs.ts";

const PROGRAM = programPath("tcpserver/tcp-env");

/** Says to a client on `host` what tcp-env's program, `script`, makes of it; with the client's own port. */
async function serve(
  host: string,
  script: string,
  {
    env = {},
    args = ["-R"],
    say = "",
  }: { env?: NodeJS.ProcessEnv; args?: string[]; say?: string } = {},
): Promise<{ said: string; ports: [remote: number, local: number] }> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    const command = [PROGRAM, ...args, "sh", "-c", script];
    // No name server answers there: the names are not what is tested here.
    const around = { PATH: process.env.PATH, DNSCACHEIP: "127.0.0.1", ...env };
    spawn(process.execPath, command, { stdio: [socket, socket, "inherit"], env: around });
    socket.destroy();
  });
  await once(server.listen(0, host), "listening");
  const local = (server.address() as { port: number }).port;
  const client = connect({ port: local, host });
  await once(client, "connect");
  const remote = client.localPort ?? 0;
  client.end(say);
  try {
    return { said: await text(client), ports: [remote, local] };
  } finally {
    server.close();
  }
}

const SHOW = "env | grep '^TCP\\|^PROTO' | grep -v HOST | sort";

test("the variables of a connection, and nothing of it read", async () => {
  const { said, ports } = await serve("127.0.0.1", `${SHOW}; cat`, { say: "first line\n" });
  const [remote, local] = ports;
  const wanted = [
    "PROTO=TCP",
    "TCPLOCALIP=127.0.0.1",
    `TCPLOCALPORT=${local}`,
    "TCPREMOTEIP=127.0.0.1",
    `TCPREMOTEPORT=${remote}`,
    "first line",
  ];
  assert.equal(said, wanted.map((line) => `${line}\n`).join(""));
});

test("what another has found out stays: PROTO is set", async () => {
  const env = { PROTO: "TCP", TCPREMOTEIP: "192.0.2.1" };
  const { said } = await serve("127.0.0.1", SHOW, { env });
  assert.equal(said, "PROTO=TCP\nTCPREMOTEIP=192.0.2.1\n");
});

test("IDENT that nobody answers: no TCPREMOTEINFO, not one of the caller's either", async () => {
  const env = { TCPREMOTEINFO: "forged" };
  const { said } = await serve("127.0.0.1", 'echo "<$TCPREMOTEINFO>"', { env, args: ["-t2"] });
  assert.equal(said, "<>\n");
});

test("without a connection, or a program: 111", () => {
  for (const args of [["true"], [], ["-x", "true"]]) {
    const { status, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], { input: "" });
    assert.equal(status, 111);
    assert.match(String(stderr), /^tcp-env: fatal: (descriptor 0 is no TCP connection|usage: )/);
  }
});

test("the program's exit code is ours", () => {
  const env = { PATH: process.env.PATH, PROTO: "TCP" };
  const left = (script: string) =>
    spawnSync(process.execPath, [PROGRAM, "sh", "-c", script], { env }).status;
  assert.equal(left("exit 7"), 7);
  assert.equal(left("kill -9 $$"), 137);
  assert.equal(spawnSync(process.execPath, [PROGRAM, "/none/such"], { env }).status, 111);
});
