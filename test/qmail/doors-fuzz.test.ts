/**
 * Every door as it runs, program and service, on input of any kind: none crashes, hangs or keeps memory. What the sessions
 * make of it is in the fuzz tests of their folders; here it is the whole process.
 */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { formatNetstring } from "../../qmail/net/netstring.ts";
import { DoorHome, runProgram, Service } from "./_running-door.ts";

/** Inputs for each service, and a twelfth for each program; more by hand: FUZZ_RUNS=10000. */
const numRuns = Number(process.env.FUZZ_RUNS ?? 120);
/** A session that is not over so long behind its input hangs. */
const HANG_MS = 30_000;
/** kB that a service may grow by: what V8 and malloc take before they give back. */
const GROWTH_KB = 80_000;

interface Door {
  /** File and arguments. */
  readonly program: (home: DoorHome) => readonly string[];
  /** Absent where there is none. */
  readonly service?: (home: DoorHome) => readonly string[];
  readonly words: readonly string[];
  /** A session that goes well, and what it must hear. */
  readonly good: readonly [input: string, said: RegExp];
  /** Exit codes of the program. */
  readonly codes: readonly number[];
  /** Things that never end: how they begin, and what is repeated. */
  readonly endless: readonly (readonly [begin: string, repeated: string])[];
}

const MAIL = [
  "EHLO x\r\n",
  "MAIL FROM:<joe@mail.test>\r\n",
  "RCPT TO:<x@mail.test>\r\n",
  "RCPT TO:<x@else.test>\r\n",
  "DATA\r\n",
  "From: joe\r\nSubject: x\r\n\r\nhello\r\n.\r\n",
  "\r\n.\r\n",
  ".",
  "To: a,\r\n b; :\r\n",
  "BDAT 3\r\n",
  "BDAT 9 LAST\r\n",
  "RSET\r\n",
  "STARTTLS\r\n",
  "AUTH PLAIN AGpvZQBwdw==\r\n",
  "AUTH LOGIN\r\n",
  "am9l\r\n",
  "*\r\n",
  "QUIT\r\n",
  "\r",
  "\n",
  "\0",
  "<",
];
const SMTP_ENDLESS = [
  ["", "x"],
  ["", "NOOP\r\n"],
  ["AUTH PLAIN\r\n", "A"],
  ["MAIL FROM:<joe@mail.test>\r\n", "RCPT TO:<some-user-of-ours@mail.test>\r\n"],
] as const;
const message = "MAIL FROM:<joe@mail.test>\r\nRCPT TO:<x@mail.test>\r\nDATA\r\n";
const netstring = (text: string) => formatNetstring(text).toString("latin1");
const NETSTRINGS = [
  netstring("\nhello\n"),
  netstring("\rhello\r\n"),
  netstring("a@b"),
  netstring(netstring("x@mail.test")),
  netstring(""),
  "3:",
  ",",
  "1999999999:",
  "99999999999:",
  "\0",
];

const DOORS: Readonly<Record<string, Door>> = {
  smtpd: {
    program: () => ["smtpd/qmail-smtpd"],
    service: () => ["smtpd/qmail-smtpd"],
    words: MAIL,
    good: [`${message}x\r\n.\r\nQUIT\r\n`, /^250 ok \d+ qp \d+\r\n221 /m],
    codes: [0, 1],
    endless: [...SMTP_ENDLESS, [message, "x"], [message, "Received: x\r\n"], [message, "x\r\n"]],
  },
  submission: {
    program: ({ check }) => ["smtpd/qmail-smtpd", ...SUBMISSION, check, "true"],
    service: ({ check }) => ["smtpd/qmail-smtpd", ...SUBMISSION, check, "true"],
    words: MAIL,
    good: [
      `AUTH PLAIN AGpvZQBwdw==\r\n${message}x\r\n.\r\nQUIT\r\n`,
      /^235 .*\r\n(?:.*\r\n)*250 ok \d+ qp/m,
    ],
    codes: [0, 1],
    endless: SMTP_ENDLESS,
  },
  ofmipd: {
    program: () => ["ofmipd/ofmipd"],
    words: MAIL,
    good: [`${message}To: x\r\n\r\nx\r\n.\r\nQUIT\r\n`, /^250 ok \d+ qp \d+\r\n221 /m],
    codes: [0, 1],
    endless: [],
  },
  qmtpd: {
    program: () => ["qmtpd/qmail-qmtpd"],
    service: () => ["qmtpd/qmail-qmtpd"],
    words: NETSTRINGS,
    good: [NETSTRINGS[0] + netstring("") + NETSTRINGS[3], /^\d+:Kok \d+ qp \d+,$/],
    codes: [0, 100, 111],
    endless: [
      ["", "0"],
      ["1999999999:\n", "x"],
      ["1:\n,1999999999:", "x"],
      ["1:\n,0:,8000000:", "1:x,"],
    ],
  },
  qmqpd: {
    program: () => ["qmqpd/qmail-qmqpd"],
    service: () => ["qmqpd/qmail-qmqpd", "--relay-from", "127.0.0.1"],
    words: [...NETSTRINGS, "60:"],
    good: [netstring(`6:hello\n,0:,${netstring("x@y")}`), /^\d+:Kok \d+ qp \d+,$/],
    codes: [0, 100, 111],
    endless: [
      ["", "0"],
      ["1999999999:1999999900:", "x"],
    ],
  },
  popup: {
    program: ({ check }) => ["pop3d/qmail-popup", "mail.test", check, "true"],
    service: ({ check }) => ["pop3d/qmail-popup", "--without-tls", "--apop", check, "echo"],
    words: [
      "USER joe\r\n",
      "PASS pw\r\n",
      "PASS no\r\n",
      "APOP joe 0123456789abcdef\r\n",
      "CAPA\r\n",
      "STLS\r\n",
      "QUIT\r\n",
      "LIST\r\n",
      "\r",
      "\n",
      "\0",
    ],
    good: ["CAPA\r\nQUIT\r\n", /^\+OK <.*>\r\n\+OK \r\n(?:[A-Z-]+\r\n)+\.\r\n\+OK \r\n$/],
    codes: [1],
    endless: [
      ["", "x"],
      ["", "NOOP\r\n"],
      ["USER joe\r\nPASS ", "x"],
    ],
  },
};
const SUBMISSION = ["--submission", "--auth-without-tls"];

function inputs({ words }: Door): fc.Arbitrary<Buffer> {
  const raw = fc
    .uint8Array({ maxLength: 300 })
    .map((bytes) => Buffer.from(bytes).toString("latin1"));
  return fc
    .array(fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...words) }, raw), { maxLength: 30 })
    .map((pieces) => Buffer.from(pieces.join(""), "latin1"));
}

/** Sends `input` in pieces of `size`, hears all there is to hear. Rejects when that does not end. */
async function visit(port: number, input: Buffer, size = input.length): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  // Who is sent away in the middle of a word sees a reset.
  socket.on("error", () => {});
  const said: Buffer[] = [];
  socket.on("data", (chunk) => said.push(chunk));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  for (let at = 0; at < input.length && !socket.destroyed; at += Math.max(1, size)) {
    await new Promise((resolve) => socket.write(input.subarray(at, at + size), resolve));
  }
  socket.end();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`hangs on ${input.toString("base64")}`)), HANG_MS);
  });
  await Promise.race([closed, late]).finally(() => clearTimeout(timer));
  return Buffer.concat(said).toString("latin1");
}

/** Sends `megabytes` of `repeated` behind `begin`, as fast as they are taken, and leaves. */
async function flood(
  port: number,
  [begin, repeated]: readonly [string, string],
  megabytes: number,
) {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.on("error", () => {});
  socket.resume();
  socket.write(begin, "latin1");
  const piece = Buffer.from(repeated.repeat(Math.ceil(65_536 / repeated.length)));
  for (let sent = 0; sent < megabytes << 20 && !socket.destroyed; sent += piece.length) {
    await new Promise((resolve) => {
      socket.write(piece, resolve);
      socket.once("close", resolve);
    });
    socket.removeAllListeners("close");
  }
  socket.destroy();
}

for (const [name, door] of Object.entries(DOORS)) {
  test(`${name}: the program comes to its end`, { timeout: 600_000 }, async () => {
    using home = new DoorHome();
    const run = (input: Buffer) =>
      runProgram(door.program(home), { input, env: home.env, ms: HANG_MS });
    const [good, wanted] = door.good;
    assert.match((await run(Buffer.from(good, "latin1"))).said, wanted);
    await fc.assert(
      fc.asyncProperty(inputs(door), async (input) => {
        const { code, stderr } = await run(input);
        assert.ok(code !== null && door.codes.includes(code), `left with ${code}: ${stderr}`);
        assert.doesNotMatch(stderr, /^ {4}at /m);
      }),
      { numRuns: Math.ceil(numRuns / 12) },
    );
  });

  if (!door.service) continue;
  const { service: command, good, endless } = door;

  test(`${name}: the service lives on, and no larger`, { timeout: 600_000 }, async () => {
    using home = new DoorHome();
    await using service = await Service.start(command(home), home.env);
    const works = async () => {
      assert.ok(service.alive, service.output);
      assert.match(await visit(service.port, Buffer.from(good[0], "latin1")), good[1]);
    };
    for (let warm = 0; warm < 20; warm++) await works();
    const before = service.memory;
    const size = fc.constantFrom(1, 7, 1000);
    await fc.assert(
      fc.asyncProperty(inputs(door), size, (input, piece) =>
        visit(service.port, input, piece).then(() => {}),
      ),
      { numRuns },
    );
    await works();
    for (const each of endless) {
      await flood(service.port, each, 24);
      await works();
      assert.ok(service.memory - before < GROWTH_KB, `${each}: ${service.memory - before} kB more`);
    }
    assert.doesNotMatch(service.output, /^ {4}at /m);
  });
}

test("2,000 idle connections: little memory, and the next is served at once", {
  timeout: 300_000,
}, async () => {
  using home = new DoorHome();
  // One host has half of them at the most.
  const command = ["smtpd/qmail-smtpd", "--concurrency", "4100"];
  await using service = await Service.start(command, home.env);
  const [mail, queued] = (DOORS.smtpd as Door).good;
  for (let warm = 0; warm < 20; warm++) await visit(service.port, Buffer.from(mail));
  const before = service.memory;
  const idle: Socket[] = [];
  for (let hundred = 0; hundred < 20; hundred++) {
    const some = Array.from({ length: 100 }, () => connect(service.port, "127.0.0.1"));
    await Promise.all(some.map((socket) => once(socket, "data")));
    idle.push(...some);
  }
  const each = (service.memory - before) / idle.length;
  assert.match(await visit(service.port, Buffer.from(mail)), queued);
  for (const socket of idle) assert.ok(!socket.destroyed && !socket.readableEnded);
  for (const socket of idle) socket.destroy();
  assert.ok(each < 40, `${each} kB each`);
  assert.match(await visit(service.port, Buffer.from(mail)), queued);
});
