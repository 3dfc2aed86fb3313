import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { programPath } from "../../../qmail/programs.ts";
import { parseTcpto, Tcpto } from "../../../qmail/remote/tcpto.ts";

function table(t: TestContext, bytes = Buffer.alloc(1024)): { home: string; path: string } {
  const home = mkdtempSync(join(tmpdir(), "qmailctl-tcpto-"));
  t.after(() => rmSync(home, { recursive: true }));
  mkdirSync(join(home, "queue/lock"), { recursive: true });
  const path = join(home, "queue/lock/tcpto");
  writeFileSync(path, bytes);
  return { home, path };
}

test("two time-outs, more than two minutes apart, and a host is left alone for an hour", (t) => {
  const { path } = table(t);
  const tcpto = new Tcpto(path);
  const ip = "192.0.2.1";
  tcpto.note(ip, true, 1000);
  assert.equal(tcpto.shouldSkip(ip, 1001), false);
  tcpto.note(ip, true, 1100);
  assert.equal(tcpto.shouldSkip(ip, 1101), false);
  tcpto.note(ip, true, 1120);
  assert.equal(tcpto.shouldSkip(ip, 1121), true);
  assert.equal(tcpto.shouldSkip(ip, 1120 + 3839), true);
  assert.equal(tcpto.shouldSkip(ip, 1120 + 3840), false);
  assert.equal(tcpto.shouldSkip("192.0.2.2", 1121), false);
  // What has happened up to a time may be left out of account.
  assert.equal(tcpto.shouldSkip(ip, 1121, 1119), true);
  assert.equal(tcpto.shouldSkip(ip, 1121, 1120), false);
  tcpto.note(ip, false, 1200);
  assert.equal(tcpto.shouldSkip(ip, 1201), false);
});

test("the file is what C qmail reads and writes", (t) => {
  const { path } = table(t);
  new Tcpto(path).note("192.0.2.1", true, 0x65432101);
  const entry = readFileSync(path).subarray(0, 16).toString("hex");
  assert.equal(entry, "c0000201010000000121436500000000");
  const bytes = Buffer.alloc(1024);
  Buffer.from("0a000001030000000121436500000000", "hex").copy(bytes, 32);
  writeFileSync(path, bytes);
  assert.deepEqual(parseTcpto(bytes), [{ ip: "10.0.0.1", count: 3, time: 0x65432101 }]);
  assert.equal(new Tcpto(path).shouldSkip("10.0.0.1", 0x65432102), true);
});

test("the oldest of 64 makes room", (t) => {
  const { path } = table(t);
  const tcpto = new Tcpto(path);
  for (let host = 0; host < 65; host++) tcpto.note(`10.0.0.${host}`, true, 1000 + host);
  const ips = parseTcpto(readFileSync(path)).map(({ ip }) => ip);
  assert.equal(ips.length, 64);
  assert.ok(!ips.includes("10.0.0.0") && ips.includes("10.0.0.64"));
});

test("IPv6 hosts and a missing table are no trouble", () => {
  const tcpto = new Tcpto("/nowhere/tcpto");
  tcpto.note("192.0.2.1", true, 1);
  tcpto.note("::1", true, 1);
  assert.equal(tcpto.shouldSkip("192.0.2.1", 2), false);
});

test("qmail-tcpto shows the table, qmail-tcpok clears it", (t) => {
  const bytes = Buffer.alloc(1024);
  const now = Math.floor(Date.now() / 1000);
  Buffer.from("0a00000103000000", "hex").copy(bytes, 16);
  bytes.writeUInt32LE(now - 100, 24);
  const { home, path } = table(t, bytes);
  const run = (name: string) => {
    const env = { ...process.env, QMAILHOME: home };
    return spawnSync(process.execPath, [programPath(`remote/${name}`)], { env, encoding: "utf8" });
  };
  assert.match(
    run("qmail-tcpto").stdout,
    /^10\.0\.0\.1 timed out 1\d\d seconds ago; # recent timeouts: 3\n$/,
  );
  assert.equal(run("qmail-tcpok").status, 0);
  assert.deepEqual(readFileSync(path), Buffer.alloc(1024));
  assert.equal(run("qmail-tcpto").stdout, "");
  rmSync(path);
  assert.equal(run("qmail-tcpto").status, 111);
  assert.match(run("qmail-tcpok").stderr, /^qmail-tcpok: fatal: unable to write/);
});
