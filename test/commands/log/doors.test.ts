import assert from "node:assert/strict";
import { test } from "node:test";
import { DoorTable } from "../../../commands/log/analysis/doors.ts";
import { LogReader } from "../../../commands/log/analysis/read.ts";
import { Statistics } from "../../../commands/log/analysis/statistics.ts";
import { makeTable } from "../../../commands/log/report/tables.ts";

const LINES = [
  "smtpd: 1.1 event=login ip=192.0.2.1 user=ann mechanism=PLAIN verdict=ok",
  "smtpd: 1.1 event=accepted ip=192.0.2.1 user=ann helo=h from=<a@b> to=<c@d> rcpts=1 bytes=100 qp=7",
  "smtpd: 1.1 event=ended ip=192.0.2.1 user=ann why=quit messages=1 seconds=0.1",
  "smtpd: 1.2 event=login ip=192.0.2.9 user=ann mechanism=PLAIN verdict=refused",
  "smtpd: 1.2 event=login ip=192.0.2.9 user=ann mechanism=PLAIN verdict=temporary",
  "smtpd: 1.2 event=refused-recipient ip=192.0.2.9 from=<a@b> to=<c@d> reply=553 sorry, that domain isn't in my list (#5.7.1)",
  "smtpd: 1.2 event=ended ip=192.0.2.9 why=quit messages=0 seconds=0.1",
  "smtpd: 1.3 event=denied ip=192.0.2.9 rule=192.0.2.9",
  "pop3d 4: refused ip=192.0.2.9 user=ann tls=none why=refused",
  "pop3d 4: closed ip=192.0.2.9 bytes=0 why=refused",
  "qmtpd 5: accepted qp=8 ip=192.0.2.1 from=<a@b> rcpts=1 bytes=50",
  "tcpserver: ok 77 mail:192.0.2.7:25 :192.0.2.1::4040",
  "tcpserver: end 77 status 0",
];

function table(name: string): (readonly (string | number)[])[] {
  const statistics = new Statistics();
  const reader = new LogReader(statistics, 0);
  reader.push(Buffer.from(LINES.map((line) => `1700000000.5 ${line}\n`).join("")));
  reader.cut();
  assert.deepEqual(reader.reading.unknownLines, []);
  return [...makeTable(name, statistics, 100).rows];
}

test("the doors: connections, accepted, bytes, refused, denied, logins, wrong passwords", () => {
  assert.deepEqual(table("doors"), [
    [2, 1, 100, 1, 1, 1, 1, "smtpd"],
    [1, 0, 0, 0, 0, 0, 1, "pop3d"],
    [1, 0, 0, 0, 0, 0, 0, "tcpserver"],
    [0, 1, 50, 0, 0, 0, 0, "qmtpd"],
  ]);
});

test("the same by client", () => {
  assert.deepEqual(table("clients"), [
    [2, 2, 150, 0, 0, 1, 0, "192.0.2.1"],
    [2, 0, 0, 1, 1, 0, 2, "192.0.2.9"],
  ]);
});

test("accounts, and reasons of refusal", () => {
  assert.deepEqual(table("accounts"), [[2, 1, 1, 100, "ann"]]);
  assert.deepEqual(
    table("refusals").map(([count]) => count),
    [1, 1],
  );
});

test("a table of clients is bounded, and its totals stay true", () => {
  const doors = new DoorTable(100);
  for (let n = 0; n < 5000; n++) {
    doors.get(`192.0.2.${n}`).connections++;
    doors.get("198.51.100.1").connections++;
  }
  const all = doors.entries();
  assert.ok(all.length <= 101);
  assert.equal(new Map(all).get("198.51.100.1")?.connections, 5000);
  assert.equal(
    all.reduce((sum, [, { connections }]) => sum + connections, 0),
    10_000,
  );
});
