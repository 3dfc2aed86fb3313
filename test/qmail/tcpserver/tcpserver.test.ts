/** tcpserver: its programs, their environment, its words; beside Debian's where that is installed. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseInfo } from "../../../qmail/tcpserver/lookups.ts";
import { parseServerOptions } from "../../../qmail/tcpserver/options.ts";
import { portNumber } from "../../../qmail/tcpserver/port.ts";
import { tcprules } from "../../../qmail/tcpserver/tcprules.ts";

const OURS = [
  process.execPath,
  fileURLToPath(new URL("../../../qmail/tcpserver/tcpserver.ts", import.meta.url)),
];
const DEBIAN = "/usr/bin/tcpserver";

const directory = mkdtempSync(join(tmpdir(), "qmailctl-tcpserver-"));
after(() => rmSync(directory, { recursive: true }));

/** A tcpserver with `-1v`, its port, and its log line by line. */
class Running {
  readonly #child: ChildProcess;
  readonly #log: Interface;
  readonly #lines: string[] = [];
  readonly port: number;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
    this.#log = createInterface({ input: child.stderr as NodeJS.ReadableStream });
    this.#log.on("line", (line) => void this.#lines.push(line));
  }

  static async start(
    args: readonly string[],
    { command = OURS, env = {} }: { command?: readonly string[]; env?: NodeJS.ProcessEnv } = {},
  ): Promise<Running> {
    const [program = "", ...first] = command;
    const child = spawn(program, [...first, "-1v", ...args], {
      env: { PATH: process.env.PATH, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const port = await new Promise<number>((resolve, reject) => {
      child.stdout?.once("data", (data) => resolve(Number.parseInt(String(data), 10)));
      child.once("exit", (code) => reject(new Error(`tcpserver left with ${code}`)));
    });
    return new Running(child, port);
  }

  connect(localAddress = "127.0.0.1"): Socket {
    const socket = connect({
      port: this.port,
      host: "127.0.0.1",
      localAddress,
      allowHalfOpen: true,
    });
    return socket.on("error", () => {});
  }

  /** Everything that a client hears who says `input` and no more. */
  async say(input: string, localAddress?: string): Promise<string> {
    const socket = this.connect(localAddress);
    const heard = text(socket);
    socket.end(input);
    return await heard.catch(() => "");
  }

  /** The log lines so far and to come, until one matches. */
  async until(pattern: RegExp): Promise<string[]> {
    while (!this.#lines.some((line) => pattern.test(line))) await once(this.#log, "line");
    return this.#lines;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exit = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    assert.deepEqual(await exit, [0, null], "SIGTERM ends it with 0");
  }
}

/** Numbers that differ from run to run. */
function masked(lines: readonly string[]): string[] {
  return lines.map((line) =>
    line
      .replace(/(pid|ok|deny|end) \d+/, "$1 P")
      .replace(/\d{4,5}(?=( |$))/g, (n) => (n === "25600" ? n : "N")),
  );
}

const rules = join(directory, "rules.cdb");
tcprules('127.0.0.2:deny\n127.:allow,GREETING="h\xc3\xa9 llo",RELAYCLIENT=""\n', {
  cdb: rules,
  temporary: join(directory, "rules.tmp"),
});

async function conversation(command: readonly string[]): Promise<{ heard: string; log: string[] }> {
  const show =
    "env | grep -E '^(TCP|PROTO|GREETING|RELAYCLIENT|KEPT)' | sort; read x; echo got $x; exit 3";
  const args = [
    "-Hl0",
    "-R",
    "-c7",
    "-x",
    rules,
    "-B",
    "banner\r\n",
    "127.0.0.1",
    "0",
    "sh",
    "-c",
    show,
  ];
  await using server = await Running.start(args, {
    command,
    env: { KEPT: "yes", TCPREMOTEHOST: "stale" },
  });
  const heard = await server.say("input\n");
  await server.until(/end \d+ status 768/);
  await server.say("", "127.0.0.2");
  await server.until(/end \d+ status 25600/);
  const all = await server.until(/status: 0\/7/);
  return {
    heard: heard.replace(/REMOTEPORT=\d+/, "REMOTEPORT=N").replace(/LOCALPORT=\d+/, "LOCALPORT=N"),
    log: masked(all.slice(0, 9)),
  };
}

test("a program gets the connection, and the environment of its rule; the log has the known words", async () => {
  const { heard, log } = await conversation(OURS);
  assert.equal(
    heard,
    [
      "banner\r\nGREETING=hé llo",
      "KEPT=yes",
      "PROTO=TCP",
      "RELAYCLIENT=",
      "TCPLOCALHOST=0",
      "TCPLOCALIP=127.0.0.1",
      "TCPLOCALPORT=N",
      "TCPREMOTEIP=127.0.0.1",
      "TCPREMOTEPORT=N",
      "got input\n",
    ].join("\n"),
  );
  assert.deepEqual(log, [
    "tcpserver: status: 0/7",
    "tcpserver: status: 1/7",
    "tcpserver: pid P from 127.0.0.1",
    "tcpserver: ok P 0:127.0.0.1:N :127.0.0.1::N",
    "tcpserver: end P status 768",
    "tcpserver: status: 0/7",
    "tcpserver: status: 1/7",
    "tcpserver: pid P from 127.0.0.2",
    "tcpserver: deny P 0:127.0.0.1:N :127.0.0.2::N",
  ]);
});

test(
  "Debian's tcpserver with our rules has the same environment and the same log",
  { skip: existsSync(DEBIAN) ? false : "needs Debian's ucspi-tcp" },
  async () => assert.deepEqual(await conversation(OURS), await conversation([DEBIAN])),
);

test("the connection blocks: /bin/cat copies a megabyte, waits for more, and ends with the client", async () => {
  await using server = await Running.start(["-RHl0", "127.0.0.1", "0", "/bin/cat"]);
  const socket = server.connect();
  const heard = text(socket);
  const megabyte = "0123456789abcde\n".repeat(1 << 16);
  socket.write("first\n");
  // cat waits for input in read(2) now: with a descriptor that does not block it would have failed.
  await once(socket, "data");
  socket.end(megabyte);
  assert.equal((await heard).length, "first\n".length + megabyte.length);
  await server.until(/end \d+ status 0$/);
});

test("beyond -c clients wait in line, and none is lost", async () => {
  await using server = await Running.start([
    "-RHl0",
    "-c2",
    "127.0.0.1",
    "0",
    "sh",
    "-c",
    "echo in; read x",
  ]);
  const sockets = Array.from({ length: 5 }, () => server.connect());
  const greeted = sockets.map((socket) => once(socket, "data").then(() => socket.end("out\n")));
  await Promise.all(greeted);
  const log = await server.until(/status: 0\/2/);
  assert.ok(log.every((line) => !/status: [3-9]\/2/.test(line)));
});

test("MAXCONNIP limits the clients of one address", async () => {
  const cdb = join(directory, "limit.cdb");
  tcprules(':allow,MAXCONNIP="1",DIEMSG="421 too many"\n', { cdb, temporary: `${cdb}.tmp` });
  await using server = await Running.start([
    "-RHl0",
    "-x",
    cdb,
    "127.0.0.1",
    "0",
    "sh",
    "-c",
    "echo in; read x",
  ]);
  const first = server.connect();
  await once(first, "data");
  assert.equal(await server.say(""), "421 too many\r\n");
  assert.equal(await server.say("\n", "127.0.0.9"), "in\n");
  first.end("out\n");
  await server.until(/deny/);
});

test("without its rules a connection is dropped, with -X it is not", async () => {
  const missing = join(directory, "missing.cdb");
  await using strict = await Running.start([
    "-RHl0",
    "-x",
    missing,
    "127.0.0.1",
    "0",
    "echo",
    "in",
  ]);
  assert.equal(await strict.say(""), "");
  const log = await strict.until(/end \d+ status 28416/);
  assert.ok(
    log.includes(
      `tcpserver: warning: dropping connection, unable to read ${missing}: file does not exist`,
    ),
  );
  await using lenient = await Running.start([
    "-RHl0",
    "-Xx",
    missing,
    "127.0.0.1",
    "0",
    "echo",
    "in",
  ]);
  assert.equal(await lenient.say(""), "in\n");
});

test("a program that cannot be run is said", async () => {
  await using server = await Running.start(["-RHl0", "127.0.0.1", "0", "no-such-program"]);
  assert.equal(await server.say(""), "");
  const log = await server.until(/end \d+ status 28416/);
  assert.ok(log.includes("tcpserver: fatal: unable to run no-such-program: file does not exist"));
});

test("a program killed by a signal shows it in its status", async () => {
  await using server = await Running.start(["-RHl0", "127.0.0.1", "0", "sh", "-c", "kill -9 $$"]);
  await server.say("");
  assert.match((await server.until(/end \d+/)).find((line) => /end/.test(line)) ?? "", /status 9$/);
});

test("IPv6: the variables of TCP6, and an IPv4 client as what it is", async (t) => {
  const probe = createServer();
  const able = await new Promise((resolve) => {
    probe.once("error", () => resolve(false)).listen({ port: 0, host: "::1" }, () => resolve(true));
  });
  probe.close();
  if (!able) return t.skip("this machine has no IPv6");
  await using server = await Running.start([
    "-RHl0",
    "0",
    "0",
    "sh",
    "-c",
    "echo $PROTO $TCPREMOTEIP $TCP6REMOTEIP",
  ]);
  const socket = connect({ port: server.port, host: "::1" });
  assert.equal(await text(socket), "TCP6 ::1 ::1\n");
  assert.equal(await server.say(""), "TCP 127.0.0.1\n");
});

test("wrong arguments: the usage and 100; a port in use: 111", async () => {
  const run = (...args: string[]) =>
    spawnSync(OURS[0] ?? "", [OURS[1] ?? "", ...args], { encoding: "utf8" });
  assert.equal(run("-Z", "0", "0", "true").status, 100);
  assert.match(run("0", "0").stderr, /^tcpserver: usage: tcpserver \[ -/);
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { status, stderr } = run(
    "127.0.0.1",
    String((taken.address() as { port: number }).port),
    "true",
  );
  assert.deepEqual(
    [status, stderr],
    [111, "tcpserver: fatal: unable to bind: address already used\n"],
  );
  taken.close();
  assert.equal(
    run("127.0.0.1", "no-such-service", "true").stderr,
    "tcpserver: fatal: unable to figure out port number for no-such-service\n",
  );
});

test("parseServerOptions() takes letters in clusters, and ids from the environment", () => {
  const options = parseServerOptions(
    ["-vRHl0", "-c", "9", "-U", "-xa.cdb", "0", "smtp", "p", "-v"],
    { UID: "7", GID: "8" },
  );
  assert.deepEqual(
    [
      options?.verbosity,
      options?.askInfo,
      options?.localHost,
      options?.limit,
      options?.uid,
      options?.gid,
    ],
    [2, false, "0", 9, 7, 8],
  );
  assert.deepEqual(
    [options?.rules, options?.port, options?.program],
    ["a.cdb", "smtp", ["p", "-v"]],
  );
});

test("parseInfo() takes what stands behind the third colon", () => {
  assert.equal(parseInfo("6193, 23 : USERID : UNIX : st johns\r\nmore"), "stjohns");
  assert.equal(parseInfo("6193, 23 : ERROR : NO-USER\r\n"), "");
});

test("portNumber() knows numbers and names", () => {
  const services = join(directory, "services");
  writeFileSync(services, "# x\nsmtp\t25/tcp\tmail # mail\npop3 110/udp\n");
  assert.deepEqual(
    ["25", "smtp", "mail", "pop3", "x"].map((name) => portNumber(name, services)),
    [25, 25, 25, null, null],
  );
});
