/** The program: its command line, signals, and exit codes, as a supervisor and a tcpserver see them. */

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { constants, mkdirSync, openSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { READY_LINE } from "../../../qmail/supervise/ready.ts";
import { freePort } from "../../site/_site.ts";
import { Replies } from "./_dialog.ts";
import { Home } from "./_world.ts";

const PROGRAM = fileURLToPath(new URL("../../../qmail/smtpd/qmail-smtpd.ts", import.meta.url));

/** A running qmail-smtpd in a sandbox home. The service has a FIFO as descriptor 0, as under the supervisor. */
class Program implements AsyncDisposable {
  readonly home: Home;
  readonly child: ChildProcess;
  readonly exited: Promise<unknown[]>;
  readonly ready: Promise<string>;
  readonly #input: Socket | null;
  stdout = "";
  stderr = "";

  constructor(args: readonly string[], { home = sandbox(), env = {} }: ProgramOptions = {}) {
    this.home = home;
    const fifo = args.includes("--listen") ? makeFifo(home.path) : null;
    this.child = spawn(process.execPath, [PROGRAM, ...args], {
      stdio: [fifo ?? "pipe", "pipe", "pipe"],
      env: { PATH: process.env.PATH, QMAILHOME: home.path, ...env },
    });
    this.exited = once(this.child, "close");
    this.child.stdout?.on("data", (chunk) => {
      this.stdout += chunk;
    });
    this.child.stderr?.on("data", (chunk) => {
      this.stderr += chunk;
    });
    const input = fifo === null ? null : new Socket({ fd: fifo, readable: true, writable: false });
    this.ready = new Promise((resolve) => {
      input?.once("data", (chunk) => {
        input.destroy();
        resolve(String(chunk));
      });
    });
    this.#input = input;
  }

  async exit(): Promise<number> {
    const [code] = await this.exited;
    return code as number;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#input?.destroy();
    this.child.kill("SIGKILL");
    await this.exited;
    this.home[Symbol.dispose]();
  }
}

interface ProgramOptions {
  readonly home?: Home;
  readonly env?: NodeJS.ProcessEnv;
}

function makeFifo(directory: string): number {
  const path = join(directory, "ready");
  execFileSync("mkfifo", [path]);
  return openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
}

function sandbox(controls: Readonly<Record<string, string>> = { rcpthosts: "mail.test\n" }): Home {
  const home = new Home(controls);
  writeFileSync(join(home.path, ".sandbox"), "");
  mkdirSync(join(home.path, "run/net"), { recursive: true });
  return home;
}

function withoutMe(): Home {
  const home = sandbox();
  rmSync(join(home.path, "control/me"));
  return home;
}

/** Something that is there where qmail-queue listens. */
async function queueServer(home: Home): Promise<Server> {
  const server = createServer();
  server.listen(join(home.path, "run/net/qmail-queue"));
  await once(server, "listening");
  return server;
}

/** All that the service says to `commands`; waits for a port that is not there yet. */
async function converse(port: number, commands: string): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.end(commands);
  return (await socket.setEncoding("latin1").toArray()).join("");
}

test("qmail-smtpd --listen is ready with the queue, rereads on SIGHUP, and ends on SIGTERM", async () => {
  const port = await freePort();
  await using program = new Program(["--listen", `127.0.0.1:${port}`]);
  const queue = await queueServer(program.home);
  assert.equal(await program.ready, READY_LINE);
  program.home.control("smtpgreeting", "hangup.test\n");
  const rereading = async () => {
    for (;;) {
      program.child.kill("SIGHUP");
      if ((await converse(port, "QUIT\r\n")).startsWith("220 hangup.test ESMTP\r\n")) return;
    }
  };
  await rereading();
  program.child.kill("SIGTERM");
  assert.equal(await program.exit(), 0);
  assert.match(program.stdout, /^smtpd: \d+\.1 event=ended ip=127\.0\.0\.1 why=quit /m);
  queue.close();
});

test("qmail-smtpd --listen keeps the old controls when the new ones cannot be read", async () => {
  const port = await freePort();
  await using program = new Program(["--listen", `127.0.0.1:${port}`]);
  const queue = await queueServer(program.home);
  await program.ready;
  mkdirSync(join(program.home.path, "control/smtpgreeting"));
  const warned = once(program.child.stdout as unknown as Socket, "data");
  program.child.kill("SIGHUP");
  assert.match(String(await warned), /^smtpd: warning: EISDIR.*, the old controls stay\n$/);
  assert.match(await converse(port, "QUIT\r\n"), /^220 mail\.test ESMTP\r\n221 mail\.test\r\n$/);
  queue.close();
});

test("qmail-smtpd --listen refuses messages for now while there is no queue", async () => {
  const port = await freePort();
  await using program = new Program(["--listen", `127.0.0.1:${port}`]);
  const message = "MAIL FROM:<a@b>\r\nRCPT TO:<x@mail.test>\r\nDATA\r\n.\r\nQUIT\r\n";
  const said = await listening(port, message);
  assert.match(said, /^354 .*\r\n451 qq trouble making network connection \(#4\.3\.0\)\r\n221 /m);
  const queue = await queueServer(program.home);
  assert.equal(await program.ready, READY_LINE);
  queue.close();
});

/** As `converse`, as soon as there is somebody to converse with. */
async function listening(port: number, commands: string): Promise<string> {
  for (;;) {
    try {
      return await converse(port, commands);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ECONNREFUSED") throw error;
    }
  }
}

test("qmail-smtpd --listen gives messages to the QMAILQUEUE program, with who sent them", async () => {
  const port = await freePort();
  const home = sandbox();
  const filter = join(home.path, "filter");
  const script =
    '#!/bin/sh\ncat >/dev/null\nprintf "Dno mail from %s" "$TCPREMOTEIP" >&6\nexit 82\n';
  writeFileSync(filter, script, { mode: 0o755 });
  const options = { home, env: { QMAILQUEUE: filter } };
  await using program = new Program(["--listen", `127.0.0.1:${port}`], options);
  await program.ready;
  const said = await converse(port, "MAIL FROM:<a@b>\r\nRCPT TO:<x@mail.test>\r\nDATA\r\n.\r\n");
  assert.match(said, /^554 no mail from 127\.0\.0\.1\r\n$/m);
});

test("qmail-smtpd --listen says in one line that a port is taken", async () => {
  const port = await freePort();
  const other = createServer().listen(port, "127.0.0.1");
  await once(other, "listening");
  await using program = new Program(["--listen", `127.0.0.1:${port}`]);
  assert.equal(await program.exit(), 111);
  const what = `cannot listen on 127.0.0.1:${port}: another program does`;
  assert.equal(program.stderr, `qmail-smtpd: fatal: ${what}; stop it, or choose another port\n`);
  other.close();
});

test("qmail-smtpd --listen does not begin without control/me", async () => {
  await using program = new Program(["--listen", "127.0.0.1:0"], { home: withoutMe() });
  assert.equal(await program.exit(), 111);
  assert.match(
    program.stderr,
    /^qmail-smtpd: fatal: cannot read controls: "control\/me" is missing\n$/,
  );
});

const testUsage = (args: readonly string[], says: RegExp) => {
  test(`qmail-smtpd ${args.join(" ")} is a usage error`, async () => {
    await using program = new Program(args);
    assert.equal(await program.exit(), 100);
    assert.match(program.stderr, says);
    assert.match(program.stderr, /\nusage: qmail-smtpd /);
  });
};
testUsage(["--listen", "nonsense"], /"nonsense" is no address and port/);
testUsage(["--listen", ":0", "--per-client", "x"], /"x" is no number of connections/);
testUsage(["--listen-tls", ":0"], /--listen-tls needs --certificate and --key/);
testUsage(["--key", "x"], /each --certificate needs its --key/);
testUsage(["--submission"], /--submission needs --logins or a checkpassword program/);
testUsage(["--listen", ":0", "--concurrency", "0"], /"0" is no number of connections/);
testUsage(["--listen", ":0", "--relay-from", "10.0.0.0/"], /"10\.0\.0\.0\/" is no list/);
testUsage(["--lisen", ":0"], /--lisen/);

const testClassic = (name: string, input: string, said: RegExp, code: number) => {
  test(`qmail-smtpd without arguments ${name}`, async () => {
    const env = { TCPREMOTEIP: "192.0.2.1", TCPLOCALHOST: "mail.test" };
    await using program = new Program([], { env });
    program.child.stdin?.end(input);
    assert.equal(await program.exit(), code);
    assert.match(program.stdout, said);
    assert.match(program.stderr, /^smtpd: \d+ event=ended ip=192\.0\.2\.1 why=/m);
  });
};
testClassic("ends with 0 after QUIT", "QUIT\r\n", /^220 .*\r\n221 .*\r\n$/, 0);
testClassic("ends with 1 when the client goes", "NOOP\r\n", /^220 .*\r\n250 ok\r\n$/, 1);

test("qmail-smtpd without arguments says 451 to a silent client and ends with 1", async () => {
  const home = sandbox({ timeoutsmtpd: "1\n" });
  await using program = new Program([], { home });
  assert.equal(await program.exit(), 1);
  assert.match(program.stdout, /^220 mail\.test ESMTP\r\n451 timeout \(#4\.4\.2\)\r\n$/);
});

test("qmail-smtpd without arguments says 421 when there are no controls", async () => {
  await using program = new Program([], { home: withoutMe() });
  assert.equal(await program.exit(), 1);
  assert.equal(program.stdout, "421 unable to read controls (#4.3.0)\r\n");
});

test("qmail-smtpd without arguments serves a client on a socket, as tcpserver runs it", async () => {
  const home = sandbox();
  const port = await freePort();
  const replies = new Replies();
  const script = 'exec "$NODE" "$PROGRAM" <&3 >&3';
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    const child = spawn("/bin/sh", ["-c", script], {
      env: { PATH: process.env.PATH, NODE: process.execPath, PROGRAM, QMAILHOME: home.path },
      stdio: ["ignore", "ignore", "ignore", socket],
    });
    child.on("close", () => server.close());
    socket.destroy();
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const client = connect(port, "127.0.0.1");
  client.on("data", (chunk) => replies.push(String(chunk)));
  client.on("end", () => replies.end());
  assert.match((await replies.next()) ?? "", /^220 mail\.test ESMTP$/);
  client.write("NOOP\r\nQUIT\r\n");
  assert.equal(await replies.next(), "250 ok");
  assert.equal(await replies.next(), "221 mail.test");
  assert.equal(await replies.next(), null);
  client.end();
  await once(server, "close");
  home[Symbol.dispose]();
});
