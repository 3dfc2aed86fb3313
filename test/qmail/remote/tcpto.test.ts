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

const IP = "192.0.2.1";

/** Both clocks at so many seconds. */
function clocks(seconds: number) {
  const clock = {
    wall: () => clock.wallSeconds * 1000,
    steady: () => clock.steadySeconds * 1000,
    wallSeconds: seconds,
    steadySeconds: seconds,
    at(time: number) {
      clock.wallSeconds = time;
      clock.steadySeconds = time;
    },
  };
  return clock;
}

test("two time-outs, more than two minutes apart, and a host is left alone for an hour", (t) => {
  const clock = clocks(0);
  const tcpto = new Tcpto(table(t).path, clock);
  const skips = (time: number, forgotten?: number) => {
    clock.at(time);
    return tcpto.shouldSkip(IP, forgotten === undefined ? undefined : forgotten * 1000);
  };
  const note = (time: number, timedOut: boolean) => {
    clock.at(time);
    tcpto.note(IP, timedOut);
  };
  note(1000, true);
  assert.equal(skips(1001), false);
  note(1100, true);
  assert.equal(skips(1101), false);
  note(1120, true);
  assert.equal(skips(1121), true);
  assert.equal(skips(1120 + 3839), true);
  assert.equal(skips(1120 + 3840), false);
  assert.equal(tcpto.shouldSkip("192.0.2.2"), false);
  // What has happened up to a time may be left out of account.
  assert.equal(skips(1121, 1119), true);
  assert.equal(skips(1121, 1120), false);
  note(1200, false);
  assert.equal(skips(1201), false);
});

const DAY = 86_400;

test("after the clock has gone back a host is left alone for as long as before, and a flush ends that", (t) => {
  const clock = clocks(10 * DAY);
  const { path } = table(t);
  const tcpto = new Tcpto(path, clock);
  tcpto.note(IP, true);
  clock.at(10 * DAY + 200);
  tcpto.note(IP, true);
  clock.wallSeconds -= DAY;
  clock.steadySeconds += 10;
  assert.equal(tcpto.shouldSkip(IP), true);
  assert.equal(tcpto.shouldSkip(IP, clock.steady()), false);
  clock.steadySeconds += 3840;
  assert.equal(tcpto.shouldSkip(IP), false);
  // Noted anew, with a time that is right.
  tcpto.note(IP, true);
  assert.equal(tcpto.shouldSkip(IP), true);
  assert.deepEqual(parseTcpto(readFileSync(path)), [{ ip: IP, count: 3, time: 9 * DAY + 200 }]);
});

test("what the file says of a time far ahead does not count", (t) => {
  const clock = clocks(10 * DAY);
  const { path } = table(t);
  new Tcpto(path, clock).note(IP, true);
  clock.at(10 * DAY + 200);
  new Tcpto(path, clock).note(IP, true);
  // As another process sees it: one that has just been started.
  const look = () => new Tcpto(path, clock).shouldSkip(IP);
  assert.equal(look(), true);
  clock.wallSeconds = 10 * DAY - 3000;
  assert.equal(look(), true);
  clock.wallSeconds = 9 * DAY;
  assert.equal(look(), false);
  new Tcpto(path, clock).note(IP, true);
  assert.deepEqual(parseTcpto(readFileSync(path)), [{ ip: IP, count: 1, time: 9 * DAY }]);
});

test("what others have noted is forgotten by a flush, too", (t) => {
  const clock = clocks(DAY);
  const { path } = table(t);
  new Tcpto(path, clock).note(IP, true);
  clock.at(DAY + 200);
  new Tcpto(path, clock).note(IP, true);
  const tcpto = new Tcpto(path, clock);
  assert.equal(tcpto.shouldSkip(IP), true);
  assert.equal(tcpto.shouldSkip(IP, clock.steady()), false);
});

test("the file is what C qmail reads and writes", (t) => {
  const { path } = table(t);
  const clock = clocks(0x65432101);
  new Tcpto(path, clock).note(IP, true);
  const entry = readFileSync(path).subarray(0, 16).toString("hex");
  assert.equal(entry, "c0000201010000000121436500000000");
  const bytes = Buffer.alloc(1024);
  Buffer.from("0a000001030000000121436500000000", "hex").copy(bytes, 32);
  writeFileSync(path, bytes);
  assert.deepEqual(parseTcpto(bytes), [{ ip: "10.0.0.1", count: 3, time: 0x65432101 }]);
  clock.at(0x65432102);
  assert.equal(new Tcpto(path, clock).shouldSkip("10.0.0.1"), true);
});

test("the oldest of 64 makes room, and before it what says nothing", (t) => {
  const { path } = table(t);
  const clock = clocks(1000);
  const tcpto = new Tcpto(path, clock);
  const ips = () => parseTcpto(readFileSync(path)).map(({ ip }) => ip);
  for (let host = 0; host < 65; host++) {
    clock.at(1000 + host);
    tcpto.note(`10.0.0.${host}`, true);
  }
  assert.equal(ips().length, 64);
  assert.ok(!ips().includes("10.0.0.0") && ips().includes("10.0.0.64"));
  clock.at(DAY);
  tcpto.note("10.0.0.1", false);
  tcpto.note("10.0.1.1", true);
  clock.at(10);
  tcpto.note("10.0.1.2", true);
  assert.ok(!ips().includes("10.0.1.1") && ips().includes("10.0.1.2"));
});

test("IPv6 hosts and a missing table are no trouble", () => {
  const tcpto = new Tcpto("/nowhere/tcpto");
  tcpto.note(IP, true);
  tcpto.note("::1", true);
  assert.equal(tcpto.shouldSkip(IP), false);
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
