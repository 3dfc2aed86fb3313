/** The programs as processes: launched with a home, a QMAILQUEUE program, standard input and output. */

import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { programPath } from "../../../qmail/programs.ts";
import { makeHome } from "./world.ts";

const home = makeHome();
const queue = join(home, "fake-queue");
const queued = join(home, "queued");
writeFileSync(queue, `#!/bin/sh\ncat >${queued}; cat <&1 >${queued}.envelope; exit \${FAKE:-0}\n`);
chmodSync(queue, 0o755);

function run(
  program: string,
  args: readonly string[],
  options: { input?: string | Buffer; env?: Record<string, string> } = {},
): SpawnSyncReturns<Buffer> {
  const env = { PATH: process.env.PATH, QMAILHOME: home, QMAILQUEUE: queue, USER: "usr" };
  return spawnSync(process.execPath, [programPath(`inject/${program}`), ...args], {
    input: options.input ?? "",
    maxBuffer: 10_000_000,
    env: { ...env, ...options.env },
  });
}

test("qmail-inject queues through QMAILQUEUE, bytes of 8 bits included", () => {
  const input = Buffer.from("To: to@x.x\n\nn\xefve\n", "latin1");
  const env = { NAME: "J\u00f6rg" };
  const { status, stderr } = run("qmail-inject", ["-H", "j\u00f6rg@x.x"], { input, env });
  assert.equal(stderr.toString(), "");
  assert.equal(status, 0);
  const message = readFileSync(queued);
  assert.ok(message.includes(Buffer.from('From: "J\u00f6rg" <usr@host.dom.example>\n')));
  assert.ok(message.includes(Buffer.from("\n\nn\xefve\n", "latin1")));
  const envelope = "Fusr@host.dom.example\0Tj\u00f6rg@x.x\0Tto@x.x\0\0";
  assert.equal(readFileSync(`${queued}.envelope`).toString(), envelope);
});

test("bytes that are no UTF-8 reach the queue as they are, from arguments and environment", () => {
  const { status, stderr } = spawnSync(
    "/bin/sh",
    [
      "-c",
      String.raw`NAME=$(printf "J\366rg") exec "$0" "$1" "$(printf "j\366rg@x.x")"`,
      process.execPath,
      programPath("inject/qmail-inject"),
    ],
    {
      input: "To: to@x.x\n\n",
      env: { PATH: process.env.PATH, QMAILHOME: home, QMAILQUEUE: queue, USER: "usr" },
    },
  );
  assert.equal(stderr.toString(), "");
  assert.equal(status, 0);
  assert.equal(
    readFileSync(`${queued}.envelope`, "latin1"),
    "Fusr@host.dom.example\0Tj\xf6rg@x.x\0\0",
  );
  assert.ok(readFileSync(queued, "latin1").includes('From: "J\xf6rg" <usr@host.dom.example>\n'));
});

test("failures are said on standard error", () => {
  const refused = run("qmail-inject", [], { input: "To: (x\n\n" });
  assert.equal(refused.status, 100);
  assert.equal(
    refused.stderr.toString(),
    "qmail-inject: fatal: unable to parse this line:\nTo: (x\n",
  );
  const disk = run("qmail-inject", ["a@b.c"], { env: { FAKE: "53" } });
  assert.equal(disk.status, 111);
  assert.equal(
    disk.stderr.toString(),
    "qmail-inject: fatal: qq write error or disk full (#4.3.0)\n",
  );
  assert.equal(run("qmail-inject", ["a@b.c"], { env: { FAKE: "31" } }).status, 100);
});

test("qmail-inject -n prints a large message whole", () => {
  const body = Buffer.alloc(5_000_000, "0123456789abcde\n");
  const input = Buffer.concat([Buffer.from("To: a@b.c\n\n"), body]);
  const { status, stdout } = run("qmail-inject", ["-n"], { input });
  assert.equal(status, 0);
  assert.match(stdout.toString("latin1", 0, 200), /^Return-Path: <usr@host\.dom\.example>\nDate: /);
  assert.ok(stdout.subarray(-body.length).equals(body));
});

test("qmail-inject whose reader goes away fails with one line", async () => {
  const env = { PATH: process.env.PATH, QMAILHOME: home };
  const child = spawn(process.execPath, [programPath("inject/qmail-inject"), "-n", "a@b.c"], {
    env,
  });
  // It may end before it has read all of this.
  child.stdin.on("error", () => {});
  child.stdin.end(Buffer.alloc(5_000_000, "0123456789abcde\n"));
  let error = "";
  child.stderr.on("data", (bytes: Buffer) => {
    error += bytes;
  });
  child.stdout.once("data", () => child.stdout.destroy());
  const [code] = await once(child, "close");
  assert.equal(code, 111);
  assert.equal(error, "qmail-inject: fatal: unable to copy the message: write EPIPE\n");
});

test("sendmail -t", () => {
  const { status, stderr } = run("sendmail", ["-t", "-i"], { input: "To: a@b.c\n\n.\n" });
  assert.equal(stderr.toString(), "");
  assert.equal(status, 0);
  assert.ok(readFileSync(queued, "latin1").endsWith("To: a@b.c\n\n.\n"));
});

test("sendmail -bs and -bp run the programs of the home", () => {
  mkdirSync(join(home, "bin"));
  for (const name of ["qmail-smtpd", "qmail-qread"]) {
    const path = join(home, "bin", name);
    writeFileSync(path, `#!/bin/sh\necho ${name} "$TCPREMOTEIP"; cat; exit 3\n`);
    chmodSync(path, 0o755);
  }
  const session = run("sendmail", ["-bs"], { input: "QUIT\r\n" });
  assert.deepEqual(
    [session.status, session.stdout.toString()],
    [3, "qmail-smtpd 127.0.0.1\nQUIT\r\n"],
  );
  const list = run("sendmail", ["-bp"]);
  assert.deepEqual([list.status, list.stdout.toString()], [3, "qmail-qread \n"]);
});

test("sendmail -bs without qmail-smtpd", () => {
  const { status, stderr } = run("sendmail", ["-bs"], { env: { QMAILHOME: join(home, "none") } });
  assert.equal(status, 111);
  assert.match(stderr.toString(), /^sendmail: fatal: unable to run qmail-smtpd: .*ENOENT\n$/);
});

test("forward says its queue number, mailsubj nothing", () => {
  const env = { NEWSENDER: "s@x.y", DTLINE: "Delivered-To: x\n" };
  const forwarded = run("forward", ["a@b.c"], { input: "body", env });
  assert.equal(forwarded.status, 0);
  assert.match(forwarded.stderr.toString(), /^forward: qp \d+\n$/);
  assert.equal(readFileSync(queued, "latin1"), "Delivered-To: x\nbody");
  const sent = run("mailsubj", ["subject", "a@b.c"], { input: "body" });
  assert.deepEqual([sent.status, sent.stderr.toString()], [0, ""]);
});

test("predate and usage", () => {
  const { status, stdout } = run("predate", ["cat"], { input: "x\n" });
  assert.equal(status, 0);
  assert.match(stdout.toString(), /^Date: \d+ \w{3} \d{4} \d\d:\d\d:\d\d [-+]\d{4}\nx\n$/);
  const usage = run("predate", []);
  assert.deepEqual(
    [usage.status, usage.stderr.toString()],
    [100, "predate: usage: predate child\n"],
  );
});

test("qreceipt and datemail run", () => {
  assert.equal(
    run("qreceipt", ["joe@x.y"], { input: "X: y\n\n", env: { SENDER: "a@b.c" } }).status,
    0,
  );
  assert.equal(run("datemail", ["-t"], { input: "To: a@b.c\n\n" }).status, 0);
});

test("no message is made of a standard input that is closed", () => {
  for (const [program, ...args] of [
    ["qmail-inject", "a@b.c"],
    ["sendmail", "a@b.c"],
    ["mailsubj", "subject", "a@b.c"],
  ] as const) {
    writeFileSync(queued, "");
    const { status, stderr } = spawnSync(
      "/bin/sh",
      ["-c", 'exec "$@" <&-', "sh", process.execPath, programPath(`inject/${program}`), ...args],
      { env: { PATH: process.env.PATH, QMAILHOME: home, QMAILQUEUE: queue, USER: "usr" } },
    );
    assert.equal(status, 111, program);
    assert.match(stderr.toString(), /read error: descriptor 0 is closed\n$/);
    assert.equal(readFileSync(queued, "latin1"), "");
  }
});
