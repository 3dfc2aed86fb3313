/** qmail-queue as a program: what it reads, what it leaves with, what it leaves behind. */

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { type TestContext, test } from "node:test";
import { crc32 } from "node:zlib";
import { heard } from "../../../qmail/net/frames.ts";
import { Link } from "../../../qmail/net/link.ts";
import { programPath } from "../../../qmail/programs.ts";
import { parseTrailer } from "../../../qmail/queue/drop.ts";
import { FRAME, FROM_LOCAL, formatResult, LOCAL_SOCKET } from "../../../qmail/queue/protocol.ts";
import { SendRig } from "../send/_send.ts";

const PROGRAM = programPath("queue/qmail-queue");
const ENVELOPE = "Fa@from.test\0Tjoe@mail.test\0\0";

/** A home with nothing but what qmail-queue needs while the daemons are stopped. */
function makeHome(t: TestContext): string {
  const home = mkdtempSync(join(tmpdir(), "qmailctl-qq-"));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  mkdirSync(join(home, "drop"));
  mkdirSync(join(home, "run/local"), { recursive: true });
  return home;
}

interface Run {
  message?: string | Buffer;
  envelope?: string;
  /** Given as descriptor 0 or 1 instead of a pipe. */
  fd0?: number;
  fd1?: number;
  env?: NodeJS.ProcessEnv;
  /** The pipe of the envelope stays open. */
  hold?: boolean;
  /** Started through this. */
  through?: readonly string[];
  uid?: number;
}

/** Runs qmail-queue and returns its exit code. */
async function queue(home: string, run: Run = {}): Promise<number | null> {
  return (await queued(home, run)).code;
}

/** Runs qmail-queue; its exit code and number. */
async function queued(home: string, run: Run = {}) {
  const { message = "Subject: x\n\nbody\n", envelope = ENVELOPE, through = [], uid } = run;
  const [command, ...args] = [...through, process.execPath, PROGRAM];
  const child = spawn(command as string, args, {
    env: { PATH: process.env.PATH, QMAILHOME: home, ...run.env },
    stdio: [run.fd0 ?? "pipe", run.fd1 ?? "pipe", "inherit"],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  const exited = once(child, "exit");
  for (const [fd, bytes] of [message, envelope].entries()) {
    const pipe = child.stdio[fd] as unknown as Writable | null;
    pipe?.on("error", () => {});
    if (fd === 1 && run.hold) pipe?.write(Buffer.from(bytes as string, "latin1"));
    else pipe?.end(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }
  const [code] = (await exited) as [number | null];
  child.stdio[1]?.destroy();
  return { code, pid: child.pid };
}

function dropped(home: string): Buffer[] {
  return readdirSync(join(home, "drop")).map((name) => {
    assert.match(name, /\.msg$/);
    return readFileSync(join(home, "drop", name));
  });
}

test("with the daemons stopped the message waits in drop, whole, for the queue alone to read", async (t) => {
  const home = makeHome(t);
  assert.equal(await queue(home), 0);
  const [file] = dropped(home);
  const trailer = parseTrailer((file as Buffer).subarray(-32));
  const sum = crc32(`Subject: x\n\nbody\n${ENVELOPE}`);
  assert.deepEqual(trailer, { size: 17, envelopeSize: ENVELOPE.length, sum });
  assert.equal(
    file?.toString("latin1", 0, 17 + ENVELOPE.length),
    `Subject: x\n\nbody\n${ENVELOPE}`,
  );
  const [name] = readdirSync(join(home, "drop"));
  assert.equal(statSync(join(home, "drop", name as string)).mode & 0o777, 0o640);
});

test("the envelope ends with its second NUL: what follows is not read, and the pipe may stay open", async (t) => {
  const home = makeHome(t);
  assert.equal(await queue(home, { envelope: `${ENVELOPE}garbage`, hold: true }), 0);
  assert.equal(dropped(home).length, 1);
});

/** Envelope → exit code; nothing is left. */
const ENVELOPES: readonly (readonly [string, string, number])[] = [
  ["no envelope", "", 54],
  ["a sender without its end", "Fa@b", 54],
  ["an envelope without its end", "Fa@b\0Tc@d\0", 54],
  ["no sender", "Ta@b\0\0", 91],
  ["a NUL at the beginning", "\0", 91],
  ["an unknown record", "Fa@b\0Xc@d\0\0", 91],
  ["a sender of 1003 bytes", `F${"x".repeat(1003)}\0\0`, 11],
  ["a recipient of 1003 bytes", `Fa@b\0T${"x".repeat(1003)}\0\0`, 11],
  ["a recipient that never ends", `Fa@b\0T${"x".repeat(5000)}`, 11],
  ["a sender with a newline", "Fv\nRSET\n@inj.example\0Ta@b\0\0", 31],
  ["a recipient with another control character", "F\0Ta@b\0Tx\x7f@c\0\0", 31],
  ["a sender of 1002 bytes", `F${"x".repeat(1002)}\0Ta@b\0\0`, 0],
  ["no recipient", "Fa@b\0\0", 0],
  ["an empty sender and an empty recipient", "F\0T\0\0", 0],
  ["more than 64 MB", `F\0${"Tx\0".repeat((64 << 20) / 3 + 1)}`, 51],
];

for (const [title, envelope, code] of ENVELOPES) {
  test(`${title}: exit code ${code}`, async (t) => {
    const home = makeHome(t);
    assert.equal(await queue(home, { envelope }), code);
    assert.equal(dropped(home).length, code === 0 ? 1 : 0);
  });
}

test("descriptors that cannot be read: 54", async (t) => {
  const home = makeHome(t);
  const directory = openSync(home, "r");
  t.after(() => closeSync(directory));
  assert.equal(await queue(home, { fd0: directory }), 54);
  assert.equal(await queue(home, { fd1: directory }), 54);
  assert.deepEqual(dropped(home), []);
});

for (const closed of ["<&-", "1<&-", "<&- 1<&-"]) {
  test(`descriptors that are closed, ${closed}: 54`, async (t) => {
    const home = makeHome(t);
    const through = ["/bin/sh", "-c", `exec "$@" ${closed}`, "sh"];
    assert.equal(await queue(home, { through }), 54);
    assert.deepEqual(dropped(home), []);
  });
}

test("an empty message from /dev/null is one", async (t) => {
  const home = makeHome(t);
  const through = ["/bin/sh", "-c", 'exec "$@" </dev/null', "sh"];
  assert.equal(await queue(home, { through }), 0);
  assert.equal(dropped(home).length, 1);
});

test("no home: 61; no directory to leave a message in: 62; one that takes no file: 63", async (t) => {
  const home = makeHome(t);
  assert.equal(await queue(join(home, "nowhere")), 61);
  rmSync(join(home, "drop"), { recursive: true });
  assert.equal(await queue(home), 62);
  if (process.getuid?.() === 0) {
    mkdirSync(join(home, "drop"), { mode: 0o555 });
    chmodSync(home, 0o755);
    assert.equal(await queue(home, { uid: 65_534 }), 63);
  }
});

/** Makes the clock of a child run so that a day is over at once. */
const FAST_CLOCK = `--import=data:text/javascript,${encodeURIComponent(
  "const real = globalThis.setTimeout; globalThis.setTimeout = (f, ms, ...a) => real(f, ms === 86400000 ? 500 : ms, ...a);",
)}`;

test("a message that takes longer than 24 hours: 52, nothing is left", async (t) => {
  const home = makeHome(t);
  // An envelope that does not come.
  const code = await queue(home, { envelope: "F", hold: true, env: { NODE_OPTIONS: FAST_CLOCK } });
  assert.equal(code, 52);
  assert.deepEqual(dropped(home), []);
});

test("a bug: 81, nothing is left", async (t) => {
  const home = makeHome(t);
  const bug = "Buffer.concat = () => { throw new TypeError('bug'); };";
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(bug)}` };
  assert.equal(await queue(home, { env }), 81);
  assert.deepEqual(dropped(home), []);
});

test("a limit on the size of files: 53, nothing is left", async (t) => {
  const home = makeHome(t);
  const through = ["prlimit", "--fsize=100000"];
  assert.equal(await queue(home, { message: Buffer.alloc(200_000, "x"), through }), 53);
  assert.deepEqual(dropped(home), []);
});

test("what the server answers is what the program leaves with, and a refused message is not kept", async (t) => {
  const home = makeHome(t);
  let code = 0;
  const server = createServer((socket) => {
    const link: Link = new Link(socket, {
      hears: heard(FROM_LOCAL, {
        drop: (_, id) => link.send(FRAME.result, id, formatResult(code, 7)),
      }),
      close() {},
    });
  });
  // The socket's path may be too long where temporary directories lie deep.
  const path = join(home, LOCAL_SOCKET);
  server.listen(path);
  await once(server, "listening");
  t.after(() => server.close());
  for (code of [11, 51, 52, 53, 54, 55, 56, 61, 62, 63, 64, 65, 66, 81, 91]) {
    assert.equal(await queue(home), code);
    assert.deepEqual(dropped(home), []);
  }
});

/** Part of the queue that is missing → exit code, through program and server. */
const BROKEN: readonly (readonly [string, number])[] = [
  ["pid", 63],
  ["mess", 64],
  ["intd", 65],
  ["todo", 66],
];

test("with the daemons up: what is wrong with the queue, and the Received line of who queued it", async () => {
  await using rig = new SendRig();
  await rig.start();
  const away = join(rig.home, "elsewhere");
  for (const [directory, code] of BROKEN) {
    const path = join(rig.queue, directory);
    execFileSync("mv", [path, away]);
    assert.equal(await queue(rig.home), code, directory);
    execFileSync("mv", [away, path]);
  }
  assert.equal(rig.messages(), 0);
  assert.deepEqual(dropped(rig.home), []);
  const { code, pid } = await queued(rig.home);
  assert.equal(code, 0);
  const order = await rig.order();
  // What a program tells that has started qmail-queue is what the log says.
  assert.ok(
    rig.lines.some((line) => line.includes(` qp ${pid} `)),
    `qp ${pid}`,
  );
  assert.match(
    rig.read("mess", order.messid),
    new RegExp(
      `^Received: \\(qmail ${pid} invoked by uid ${process.getuid?.()}\\); \\d+ \\w+ \\d+ [\\d:]{8} -0000\nSubject: x\n\nbody\n$`,
    ),
  );
  assert.deepEqual(dropped(rig.home), []);
});

test("a message of 100 MB goes through", async () => {
  await using rig = new SendRig();
  await rig.start();
  const message = Buffer.alloc(100 << 20, "0123456789abcdef\n");
  assert.equal(await queue(rig.home, { message }), 0);
  const order = await rig.order();
  const mess = readFileSync(rig.path("mess", order.messid));
  assert.ok(mess.subarray(mess.indexOf(10) + 1).equals(message));
});

test("left while the daemons were stopped, taken in at the next start", async () => {
  await using rig = new SendRig();
  assert.equal(await queue(rig.home), 0);
  await rig.start();
  const order = await rig.order();
  assert.deepEqual([order.sender, order.recipient], ["a@from.test", "joe@mail.test"]);
  assert.deepEqual(dropped(rig.home), []);
});

const ROOT = process.getuid?.() === 0;

/** A filesystem too small → what is short, exit code with the daemons stopped, and with them up. */
const SHORT: readonly (readonly [string, string])[] = [
  ["a disk without room", "size=1m"],
  ["a disk without inodes", "nr_inodes=150"],
];

for (const [title, options] of SHORT) {
  test(`${title}: a clean temporary refusal, no leftovers, and all is well when there is room again`, {
    skip: !ROOT && "needs root to mount a filesystem",
  }, async () => {
    await using rig = new SendRig();
    const small = join(rig.home, "small");
    mkdirSync(small);
    execFileSync("mount", ["-t", "tmpfs", "-o", `mode=755,${options}`, "tmpfs", small]);
    using _ = { [Symbol.dispose]: () => execFileSync("umount", ["-l", small]) };
    // The queue on the small disk, drop on the large one.
    execFileSync("cp", ["-a", rig.queue, `${small}/queue`]);
    rmSync(rig.queue, { recursive: true });
    symlinkSync(`${small}/queue`, rig.queue);
    await rig.start();
    const codes = new Set<number | null>();
    const filler = join(small, "filler");
    mkdirSync(filler);
    if (options.startsWith("size")) {
      codes.add(await queue(rig.home, { message: Buffer.alloc(2 << 20, "x") }));
      assert.deepEqual(codes, new Set([53]));
    } else {
      for (let at = 0; at < 200; at++) {
        try {
          closeSync(openSync(join(filler, String(at)), "w"));
        } catch {
          break;
        }
      }
      codes.add(await queue(rig.home));
      assert.deepEqual(codes, new Set([63]));
      // On tmpfs a name costs one too: enough for pid, not for mess; for intd, not for todo.
      rmSync(join(filler, "0"));
      assert.equal(await queue(rig.home), 64);
      rmSync(join(filler, "1"));
      assert.equal(await queue(rig.home), 66);
    }
    assert.equal(rig.messages(), 0);
    assert.deepEqual(readdirSync(join(rig.queue, "pid")), []);
    assert.deepEqual(readdirSync(join(rig.queue, "intd")), []);
    assert.deepEqual(dropped(rig.home), []);
    rmSync(filler, { recursive: true });
    assert.equal(await queue(rig.home), 0);
    (await rig.order()).report("K\n");
    await rig.stop();
  });
}
