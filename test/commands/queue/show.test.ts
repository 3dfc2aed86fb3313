import assert from "node:assert/strict";
import { mkdirSync, unlinkSync, writeFileSync } from "node:fs";
import { Writable } from "node:stream";
import { test } from "node:test";
import { queueCat } from "../../../commands/queue/cat.ts";
import { readHeader } from "../../../commands/queue/header.ts";
import { queueShow } from "../../../commands/queue/show.ts";
import { formatTai64n } from "../../../qmail/multilog/tai64n.ts";
import { type QueuedMessage, readMessage } from "../../../qmail/queue/queue-read.ts";
import { SendRig } from "../../qmail/send/_send.ts";
import { Captured } from "../_output.ts";

const NOW = Math.floor(Date.now() / 1000);

function shown(rig: SendRig, ...ids: string[]): string {
  const output = new Captured();
  queueShow({ home: rig.home, ids, output });
  return output.text;
}

test("show: envelope, recipients, header, and what the log says from the message's beginning", async () => {
  await using rig = new SendRig();
  const id = rig.made({
    sender: "ann@from.test",
    body: "Subject: =?utf-8?q?f=C3=BCr?=\n\tyou\x07\n\nbody\n",
    local: ["Dbob"],
    remote: ["Tzoe\xff@to.test"],
    birth: NOW - 3600,
    retry: NOW + 630,
  });
  assert.match(shown(rig, id), /\n {2}\(the log does not go back to its beginning\)\n$/);
  const lines = [
    `starting delivery 9: msg ${id} to local of-another-message`,
    "delivery 9: success: x/",
    `new msg ${id}`,
    `info msg ${id}: bytes 5 from <ann@from.test> qp 1 uid 0`,
    `starting delivery 1: msg ${id} to local bob`,
    `starting delivery 2: msg ${id}0 to local other`,
    `starting delivery 3: msg ${id} to remote zoe_@to.test`,
    "delivery 2: success: not_ours/",
    "delivery 1: success: did_1+0+0/",
    "delivery 3: deferral: Sorry,_later./",
    "status: exiting",
    `starting delivery 1: msg ${id} to remote zoe_@to.test`,
  ];
  mkdirSync(`${rig.home}/log/qmail-send`, { recursive: true });
  writeFileSync(
    `${rig.home}/log/qmail-send/current`,
    lines.map((line, at) => `${formatTai64n((NOW - 3600 + at) * 1000)} ${line}\n`).join(""),
  );
  const text = shown(rig, id);
  for (const expected of [
    `Message ${id}\nstate       waiting (to be tried later)\nfrom        ann@from.test\n`,
    "\ntries       1\nlast error  Sorry, later.\n",
    "\n  done|local|-|1|bob\n",
    "\nHeader\n  Subject: für\tyou?\n".replace("\t", "?"),
  ]) {
    assert.ok(text.includes(expected), `${expected}\nis not in\n${text}`);
  }
  const history = text
    .split("\nHistory\n")[1]
    ?.split("\n")
    .map((line) => line.slice(23));
  assert.deepEqual(history, [
    lines[2],
    lines[3],
    lines[4],
    lines[6],
    lines[8],
    lines[9],
    lines[11],
    "",
  ]);
  const output = new Captured({ json: true });
  queueShow({ home: rig.home, ids: [`#${id}`], output });
  const [[document]] = output.documents as [[Record<string, unknown>]];
  assert.equal(document.wholeHistory, true);
  assert.deepEqual(document.header, [{ name: "Subject", value: "für\tyou\x07" }]);
});

test("show, cat: what is not there, and what is no id", async () => {
  await using rig = new SendRig();
  const id = rig.todo("a@b", ["c@d"]);
  assert.match(shown(rig, id), /state {7}todo /);
  assert.throws(() => shown(rig, id, "1"), { code: 111, message: /^there is no message 1 in/ });
  assert.throws(() => shown(rig), { code: 100, message: /it is not said which message/ });
  assert.throws(() => shown(rig, "12*"), { code: 100 });
  assert.throws(() => shown(rig, "x"), { code: 100, message: /"x" is no message id/ });
});

test("cat: every byte, one message behind the other", async () => {
  await using rig = new SendRig();
  const body = Buffer.from(Array.from({ length: 70_000 }, (_, at) => at % 256)).toString("latin1");
  const first = rig.todo("a@b", ["c@d"]);
  writeFileSync(rig.path("mess", first), Buffer.from(body, "latin1"));
  const second = rig.made({ sender: "a@b", body: "x\n" });
  const chunks: Buffer[] = [];
  const to = new Writable({ write: (chunk, _, done) => done(void chunks.push(chunk)) });
  await queueCat({ home: rig.home, ids: [first, second], to });
  assert.equal(Buffer.concat(chunks).toString("latin1"), `${body}x\n`);
  chunks.length = 0;
  await queueCat({ home: rig.home, ids: [first], to, printable: true });
  assert.doesNotMatch(Buffer.concat(chunks).toString(), /(?![\t\n])\p{Cc}/u);
  unlinkSync(rig.path("mess", second));
  await assert.rejects(queueCat({ home: rig.home, ids: [second], to }), /there is no message/);
});

test("cat and show: never the text of another message that has the number by now", async () => {
  await using rig = new SendRig();
  const first = rig.todo("a@b", ["c@d"], "first\n");
  const second = rig.made({ sender: "a@b", body: "Subject: mine\n\nx\n" });
  const chunks: Buffer[] = [];
  const to = new Writable({
    write: (chunk, _, done) => {
      replaceMess(rig.path("mess", second), "Subject: another's\n\ny\n");
      done(void chunks.push(chunk));
    },
  });
  await assert.rejects(queueCat({ home: rig.home, ids: [first, second], to }), {
    message: `message ${second} has just left the queue`,
  });
  assert.equal(Buffer.concat(chunks).toString("latin1"), "first\n");
  const { made } = readMessage(rig.queue, second) as QueuedMessage;
  assert.equal(readHeader(rig.path("mess", second), made)?.value("subject"), "another's");
  assert.equal(readHeader(rig.path("mess", second), made - 1), null);
});

function replaceMess(path: string, body: string): void {
  unlinkSync(path);
  writeFileSync(path, body);
}
