import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { logTrace } from "../../../commands/log/trace.ts";
import type { Output } from "../../../commands/output.ts";
import { formatTai64n } from "../../../qmail/multilog/tai64n.ts";

const T = 1_700_000_000_000;
const at = (second: number, text: string) => `${formatTai64n(T + second * 1000)} ${text}\n`;

/** A message that is forwarded and bounces, whose bounce bounces; another of the same qp a day later. */
const OLD = [
  at(0, "new msg 5"),
  at(0, "info msg 5: bytes 100 from <ann@example.com> qp 70 uid 1"),
  at(1, "starting delivery 1: msg 5 to local bob@example.org"),
  at(2, "delivery 1: success: did_0+1+0/qp_71/"),
  at(2, "end msg 5"),
  at(2, "new msg 6"),
  at(2, "info msg 6: bytes 120 from <ann@example.com> qp 71 uid 1"),
].join("");
const NEW = [
  at(3, "starting delivery 2: msg 6 to remote c@example.net"),
  at(4, "delivery 2: failure: no/"),
  at(4, "bounce msg 6 qp 72"),
  at(4, "end msg 6"),
  at(5, "new msg 7"),
  at(5, "info msg 7: bytes 300 from <> qp 72 uid 2"),
  at(5, "starting delivery 3: msg 7 to remote ann@example.com"),
  at(6, "status: exiting"),
  // qmail-send has started again, and says nothing of what it finds in the queue.
  at(20, "starting delivery 1: msg 7 to remote ann@example.com"),
  at(21, "delivery 1: failure: no/"),
  at(21, "bounce msg 7 qp 73"),
  at(21, "end msg 7"),
  at(22, "new msg 9"),
  at(22, "info msg 9: bytes 400 from <#@[]> qp 73 uid 2"),
  at(22, "starting delivery 2: msg 9 to local postmaster@example.org"),
  at(23, "delivery 2: failure: full/"),
  at(23, "triple bounce: discarding bounce/9"),
  at(23, "end msg 9"),
  at(30, "new msg 10"),
  at(30, "info msg 10: bytes 50 from <eve@example.com> qp 90 uid 3"),
  at(30, "starting delivery 3: msg 10 to local list@example.org"),
  at(31, "delivery 3: success: forward:_qp_91/did_0+0+1/"),
  at(31, "end msg 10"),
  at(31, "new msg 11"),
  at(31, "info msg 11: bytes 60 from <eve@example.com> qp 91 uid 4"),
  at(32, "end msg 11"),
  at(40, "starting delivery 4: msg 4 to local old@example.org"),
  at(41, "delivery 4: success: did_1+0+0/"),
  at(41, "end msg 4"),
  at(86_400, "new msg 8"),
  at(86_400, "info msg 8: bytes 300 from <x@example.com> qp 71 uid 2"),
  at(86_401, "end msg 8"),
].join("");
const DOOR = [
  at(-1, "smtpd: 9.1 event=login ip=192.0.2.1 user=ann mechanism=PLAIN verdict=ok"),
  at(
    0,
    "smtpd: 9.1 event=accepted ip=192.0.2.1 tls=TLSv1.3 user=ann helo=h from=<ann@example.com> to=<bob@example.org> rcpts=1 bytes=100 qp=70 msgid=<One@mail.example>",
  ),
  at(1, "smtpd: 9.1 event=ended ip=192.0.2.1 tls=TLSv1.3 user=ann why=quit messages=1 seconds=2.0"),
  at(
    50,
    "smtpd: 9.2 event=refused-recipient ip=192.0.2.7 from=<spam@example.net> to=<nobody@example.org> reply=553 no",
  ),
  at(51, "smtpd: 9.2 event=ended ip=192.0.2.7 why=quit messages=0 seconds=1.0"),
].join("");

interface Group {
  readonly id: string | null;
  readonly qp: number | null;
  readonly lines: { text: string }[];
}

async function trace(what: string, prepare = (_home: string) => {}): Promise<Group[]> {
  const home = mkdtempSync(join(tmpdir(), "qmailctl-trace-"));
  try {
    mkdirSync(join(home, "log/send"), { recursive: true });
    mkdirSync(join(home, "log/smtpd"));
    writeFileSync(join(home, "log/send", `${formatTai64n(T + 2500)}.s.gz`), gzipSync(OLD));
    writeFileSync(join(home, "log/send/current"), NEW);
    writeFileSync(join(home, "log/smtpd/current"), DOOR);
    prepare(home);
    let document: unknown;
    const output = {
      json: true,
      line: () => {},
      data: (value: unknown) => (document = value),
      table: () => {},
      note: () => {},
    };
    await logTrace({ home, files: [], what, output: output as unknown as Output });
    return document as Group[];
  } finally {
    rmSync(home, { recursive: true });
  }
}

for (const what of [
  ...["5", "6", "7", "9", "70", "71", "72", "73"],
  ...["bob@example.org", "<ann@example.com>", "c@example.net", "postmaster@example.org"],
  ...[
    "<one@mail.example>",
    "one@mail.example",
    "Message-ID: <One@mail.example>",
    "ann",
    "192.0.2.1",
  ],
]) {
  test(`by "${what}": the session, the forward, the bounces, across a rotation and a restart`, async () => {
    const found = await trace(what);
    const ids = found.map(({ id }) => id);
    // qp 71 was given twice.
    assert.deepEqual(ids, what === "71" ? ["5", "6", "7", "9", "8"] : ["5", "6", "7", "9"]);
    const texts = found.map(({ lines }) => lines.map(({ text }) => text));
    assert.deepEqual(
      texts[0]?.map((text) => text.split(" ").slice(0, 3).join(" ")),
      [
        "smtpd: 9.1 event=login",
        "smtpd: 9.1 event=accepted",
        "info msg 5:",
        "smtpd: 9.1 event=ended",
        "starting delivery 1:",
        "delivery 1: success:",
        "end msg 5",
      ],
    );
    assert.ok(texts[1]?.includes("bounce msg 6 qp 72"));
    assert.ok(texts[2]?.includes("delivery 1: failure: no/"));
    assert.ok(texts[3]?.includes("triple bounce: discarding bounce/9"));
  });
}

test("what a program forwarded", async () => {
  assert.deepEqual(
    (await trace("list@example.org")).map(({ id }) => id),
    ["10", "11"],
  );
});

test("a message that came before the log", async () => {
  const [found, ...more] = await trace("old@example.org");
  assert.deepEqual([found?.id, found?.qp, found?.lines.length, more], ["4", null, 3, []]);
});

for (const what of ["nobody@example.org", "192.0.2.7", "spam@example.net"]) {
  test(`what was refused at the door: ${what}`, async () => {
    const [found, ...more] = await trace(what);
    assert.deepEqual([found?.id, found?.lines.length, more], [null, 2, []]);
  });
}

test("a Message-ID of a message that is still queued", async () => {
  const found = await trace("<two@mail.example>", (home) => {
    mkdirSync(join(home, "queue/mess/10"), { recursive: true });
    writeFileSync(
      join(home, "queue/mess/10/10"),
      "Received: x\nMessage-ID:\n <two@mail.example>\n\nhi",
    );
    writeFileSync(join(home, "queue/mess/10/33"), "Subject: x\n\nMessage-ID: <two@mail.example>\n");
  });
  assert.deepEqual(
    found.map(({ id }) => id),
    ["10", "11"],
  );
});

test("a message that is not there", async () => {
  await assert.rejects(trace("4711"), /there is no message "4711"/);
  await assert.rejects(trace("<x@y>"), (error: { hints: string[] }) => {
    return /has no Message-ID, and a C qmail's has none/.test(error.hints.join(" "));
  });
});
