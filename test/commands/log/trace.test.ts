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

/** A message that is forwarded and bounces; another of the same qp a day later. */
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
  at(5, "info msg 7: bytes 300 from <> qp 72 uid 2"),
  at(6, "end msg 7"),
  at(86_400, "info msg 8: bytes 300 from <x@example.com> qp 71 uid 2"),
  at(86_401, "end msg 8"),
].join("");
const DOOR = at(
  0,
  "smtpd: 9.1 event=accepted ip=192.0.2.1 helo=h from=<ann@example.com> to=<bob@example.org> rcpts=1 bytes=100 qp=70",
);

async function trace(what: string): Promise<{ id: string; lines: { text: string }[] }[]> {
  const home = mkdtempSync(join(tmpdir(), "qmailctl-trace-"));
  try {
    mkdirSync(join(home, "log/send"), { recursive: true });
    mkdirSync(join(home, "log/smtpd"));
    writeFileSync(join(home, "log/send", `${formatTai64n(T + 2500)}.s.gz`), gzipSync(OLD));
    writeFileSync(join(home, "log/send/current"), NEW);
    writeFileSync(join(home, "log/smtpd/current"), DOOR);
    let document: unknown;
    const output = {
      json: true,
      line: () => {},
      data: (value: unknown) => (document = value),
      table: () => {},
      note: () => {},
    };
    await logTrace({ home, files: [], what, output: output as unknown as Output });
    return document as { id: string; lines: { text: string }[] }[];
  } finally {
    rmSync(home, { recursive: true });
  }
}

for (const what of [
  "5",
  "70",
  "71",
  "bob@example.org",
  "<ann@example.com>",
  "72",
  "c@example.net",
]) {
  test(`by "${what}": the connection, the forward and the bounce, across a rotation`, async () => {
    const found = await trace(what);
    const ids = found.map(({ id }) => id);
    // qp 71 was given twice.
    assert.deepEqual(ids, what === "71" ? ["5", "6", "7", "8"] : ["5", "6", "7"]);
    assert.match(found[0]?.lines[0]?.text ?? "", /^(info msg 5|smtpd: 9\.1)/);
    assert.ok(found[0]?.lines.some(({ text }) => text.startsWith("smtpd: 9.1 event=accepted")));
    assert.ok(found[1]?.lines.some(({ text }) => text === "bounce msg 6 qp 72"));
  });
}

test("a message that is not there", async () => {
  await assert.rejects(trace("4711"), /there is no message "4711"/);
});
