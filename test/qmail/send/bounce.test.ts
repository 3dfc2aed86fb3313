import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ConstMap, ConstSet } from "../../../qmail/control/constmap.ts";
import type { Qmail } from "../../../qmail/queue/qmail.ts";
import {
  type BounceOptions,
  bounceEntry,
  bounceSender,
  injectBounce,
  wholeParagraphs,
} from "../../../qmail/send/bounce.ts";

const tables = {
  envnoathost: "me.test",
  percenthack: new ConstSet([]),
  locals: new ConstSet([]),
  virtualdomains: new ConstMap(["virtual.test:virt"]),
};

const options: BounceOptions = {
  from: "MAILER-DAEMON",
  host: "mail.test",
  doubleTo: "postmaster@mail.test",
  format: "qsbmf",
  maxBytes: 50_000,
};

/** Queues a bounce of a message from `sender` and returns it. */
async function bounce(t: { after(fn: () => void): void }, sender: string) {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-bounce-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const messPath = join(directory, "mess");
  const failed = Buffer.from("<joe@x.test>:\nno such user\n\n");
  writeFileSync(messPath, "Subject: original\n\nbody\n");
  let text = "";
  let envelope: [string, readonly string[]] | null = null;
  const message: Qmail = {
    full: false,
    put(bytes) {
      text += bytes.toString("latin1");
    },
    drained: () => Promise.resolve(),
    abort() {},
    close(from, to) {
      envelope = [from, to];
      return Promise.resolve({ ok: true, qp: 5 });
    },
  };
  const bounce = { sender, names: options, now: 0, birth: 0, text: () => [failed], messPath };
  const result = await injectBounce(message, bounce, options);
  return { result, text, envelope };
}

test("a bounce, word for word", async (t) => {
  const { text, envelope } = await bounce(t, "a b@from.test");
  assert.deepEqual(envelope, ["", ["a b@from.test"]]);
  assert.equal(
    text,
    `Date: 1 Jan 1970 00:00:00 -0000
From: MAILER-DAEMON@mail.test
To: "a b"@from.test
Subject: failure notice

Hi. This is the qmail-send program at mail.test.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<joe@x.test>:
no such user

--- Below this line is a copy of the message.

Return-Path: <"a b"@from.test>
Subject: original

body
`,
  );
});

test("a double bounce goes to the postmaster", async (t) => {
  const { text, envelope } = await bounce(t, "");
  assert.deepEqual(envelope, ["#@[]", ["postmaster@mail.test"]]);
  assert.match(
    text,
    /at mail\.test\.\nI tried to deliver a bounce message to this address, but the bounce bounced!\n\n<joe/,
  );
  assert.match(text, /\n--- Below this line is the original bounce\.\n\nReturn-Path: <>\n/);
});

test("a triple bounce is thrown away", async (t) => {
  const { result, envelope } = await bounce(t, "#@[]");
  assert.equal(result, null);
  assert.equal(envelope, null);
});

test("bounceSender() takes VERP senders back to their list", () => {
  assert.equal(bounceSender("list-@x.test-@[]"), "list-@x.test");
  assert.equal(bounceSender("#@[]"), "#@[]");
});

test("bounceEntry() names the recipient as the sender knew it, without empty lines inside", () => {
  assert.equal(bounceEntry(tables, "virt-a@virtual.test", "no\n"), "<a@virtual.test>:\nno\n\n");
  assert.equal(bounceEntry(tables, "a\nb@x", "no"), "<a_b@x>:\nno\n\n");
  assert.equal(bounceEntry(tables, "a@x", "one\n\n\ntwo\n"), "<a@x>:\none\n//two\n\n");
  assert.equal(bounceEntry(tables, "a@x", ""), "<a@x>:\n\n");
});

test("of paragraphs that a power cut tore those before it are whole", () => {
  const entries = ["<joe@x.test>:\nno such user\n\n", "<ann@x.test>:\nfull\nreally\n\n"].map(
    (entry) => Buffer.from(entry),
  );
  const text = Buffer.concat(entries);
  const whole = (entries[0] as Buffer).length;
  assert.equal(wholeParagraphs(Buffer.alloc(0)), 0);
  assert.equal(wholeParagraphs(text), text.length);
  for (let length = whole; length < text.length; length++) {
    assert.equal(wholeParagraphs(text.subarray(0, length)), whole);
    const zeros = Buffer.from(text).fill(0, length);
    assert.equal(wholeParagraphs(zeros), whole);
    // A later page was written, an earlier one not.
    const hole = Buffer.from(text).fill(0, whole, length + 1);
    assert.equal(wholeParagraphs(hole), whole);
  }
  assert.equal(wholeParagraphs(text.subarray(0, whole - 1)), 0);
  assert.doesNotMatch(bounceEntry(tables, "joe@x.test", "a\0b\n"), /\0/);
});
