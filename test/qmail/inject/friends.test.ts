/** The small programs beside qmail-inject: forward, mailsubj, datemail, predate, qreceipt. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import { datemail } from "../../../qmail/inject/datemail.ts";
import { forward } from "../../../qmail/inject/forward.ts";
import { mailsubj } from "../../../qmail/inject/mailsubj.ts";
import { localDateField, predate } from "../../../qmail/inject/predate.ts";
import { qreceipt } from "../../../qmail/inject/qreceipt.ts";
import { queueFailure } from "../../../qmail/queue/qmail.ts";
import { FakeQueue, makeHome, NOW, world } from "./world.ts";

const home = makeHome();
const HOST = "host.dom.example";
const FORWARD_ENV = { NEWSENDER: "s@x.y", DTLINE: "Delivered-To: joe@h.d\n" };

test("forward puts Delivered-To before the message and touches nothing", async () => {
  const text = "Return-Path: <s@x.y>\nTo: joe\r\n\n\xff no newline";
  const context = world(home, text, { env: FORWARD_ENV });
  const outcome = await forward(["a", "b@c.d"], context);
  assert.deepEqual(outcome, { code: 0, message: "qp 77" });
  assert.equal(context.fake.message, `Delivered-To: joe@h.d\n${text}`);
  assert.equal(context.fake.sender, "s@x.y");
  assert.deepEqual(context.fake.recipients, ["a", "b@c.d"]);
});

test("forward passes bounces and VERPs on", async () => {
  for (const sender of ["", "#@[]", "l-@h.d-@[]"]) {
    const context = world(home, "\n", { env: { ...FORWARD_ENV, NEWSENDER: sender } });
    await forward(["a@b.c"], context);
    assert.equal(context.fake.sender, sender);
  }
});

test("forward outside of qmail-local says what it misses", async () => {
  const { NEWSENDER, DTLINE } = FORWARD_ENV;
  const noSender = await forward(["a"], world(home, "", { env: { DTLINE } }));
  assert.deepEqual(noSender, { code: 100, message: "NEWSENDER not set" });
  const noLine = await forward(["a"], world(home, "", { env: { NEWSENDER } }));
  assert.deepEqual(noLine, { code: 100, message: "DTLINE not set" });
});

test("forward tells permanent from temporary trouble", async () => {
  for (const [code, exit] of [
    [31, 100],
    [81, 111],
  ] as const) {
    const result = queueFailure(code);
    const context = world(home, "x", { env: FORWARD_ENV, fake: new FakeQueue(result) });
    assert.deepEqual(await forward(["a"], context), { code: exit, message: result.text });
  }
});

test("mailsubj makes a header of its arguments", async () => {
  const context = world(home, "Not: a header\n");
  assert.equal((await mailsubj(["A subject", "joe,", "b@c.d"], context)).code, 0);
  const to = `joe@${HOST}, b@c.d`;
  assert.ok(context.fake.message?.endsWith(`Subject: A subject\nTo: ${to}\n\nNot: a header\n`));
  assert.deepEqual(context.fake.recipients, [`joe@${HOST}`, "b@c.d"]);
});

test("mailsubj adds the commas between recipients", async () => {
  const context = world(home, "");
  await mailsubj(["s", "joe", "fred"], context);
  assert.deepEqual(context.fake.recipients, [`joe@${HOST}`, `fred@${HOST}`]);
});

test("mailsubj without recipients", async () => {
  assert.deepEqual(await mailsubj(["s"], world(home, "")), {
    code: 100,
    message: "usage: mailsubj subject recip ...",
  });
});

/** Runs `action` in the time zone `zone`. */
async function inZone<T>(zone: string, action: () => T): Promise<Awaited<T>> {
  const before = process.env.TZ;
  process.env.TZ = zone;
  try {
    return await action();
  } finally {
    if (before === undefined) delete process.env.TZ;
    else process.env.TZ = before;
  }
}

test("local dates", async () => {
  const rows = [
    ["UTC", "9 Sep 2001 01:46:40 +0000"],
    ["Europe/Berlin", "9 Sep 2001 03:46:40 +0200"],
    ["America/New_York", "8 Sep 2001 21:46:40 -0400"],
    ["Asia/Kolkata", "9 Sep 2001 07:16:40 +0530"],
    ["America/St_Johns", "8 Sep 2001 23:16:40 -0230"],
  ] as const;
  for (const [zone, date] of rows) {
    const field = await inZone(zone, () => localDateField(new Date(NOW * 1000)));
    assert.equal(field, `Date: ${date}\n`, zone);
  }
});

test("datemail is sendmail with a local date", async () => {
  const inner = world(home, "To: a@b.c\n\nbody\n");
  const context = {
    ...inner,
    name: "sendmail",
    run: () => assert.fail(),
    flush: () => assert.fail(),
  };
  const outcome = await inZone("Asia/Kolkata", () => datemail(["-t"], context));
  assert.equal(outcome.code, 0);
  assert.match(inner.fake.message ?? "", /^Date: 9 Sep 2001 07:16:40 \+0530$/m);
  assert.equal(inner.fake.message?.match(/^Date:/gm)?.length, 1);
});

test("predate gives a program its input and its exit code back", async () => {
  const file = join(home, "predated");
  const args = ["sh", "-c", 'cat > "$0"; exit 9', file];
  const options = () => ({
    input: Readable.from([Buffer.from("To: x\n\nbody")]),
    date: new Date(NOW * 1000),
  });
  const outcome = await inZone("UTC", () => predate(args, options()));
  assert.deepEqual(outcome, { code: 9, message: "" });
  assert.equal(readFileSync(file, "latin1"), "Date: 9 Sep 2001 01:46:40 +0000\nTo: x\n\nbody");

  assert.deepEqual(await predate(["sh", "-c", "kill -9 $$"], options()), {
    code: 111,
    message: "child crashed",
  });
  const missing = await predate(["/no/such/program"], options());
  assert.equal(missing.code, 100);
  assert.equal(missing.message, "unable to run /no/such/program: file does not exist");
  assert.equal((await predate(["true"], options())).code, 0);
  assert.deepEqual(await predate([], options()), { code: 100, message: "usage: predate child" });
});

const NOTICE = "Notice-Requested-Upon-Delivery-To: x@y.z, Joe <joe@h.d>\n";

async function receipt(text: string, env: Record<string, string> = { SENDER: "s@x.y" }) {
  const context = world(home, text, { env });
  const outcome = await qreceipt(["joe@h.d"], context);
  const { message, sender, recipients } = context.fake;
  return { code: outcome.code, error: outcome.message, message, sender, recipients };
}

test("qreceipt answers who asked", async () => {
  const result = await receipt(`Message-ID: <m@x.y>\n${NOTICE}\nbody\n`);
  assert.equal(result.code, 0);
  assert.equal(result.sender, "");
  assert.deepEqual(result.recipients, ["s@x.y"]);
  assert.match(
    result.message ?? "",
    /^From: DELIVERY NOTICE SYSTEM <s@x\.y>\nTo: <s@x\.y>\nSubject: success notice\n\n/,
  );
  assert.match(result.message ?? "", /delivered to joe@h\.d/);
  assert.ok(result.message?.endsWith("\nYour Message-ID: <m@x.y>\n"));
});

test("qreceipt quotes the sender", async () => {
  const { message, recipients } = await receipt(`${NOTICE}\n`, { SENDER: "a b@x.y" });
  assert.match(message ?? "", /^To: <"a b"@x\.y>$/m);
  assert.deepEqual(recipients, ["a b@x.y"]);
});

test("qreceipt is silent when nobody asked, or nobody could hear", async () => {
  const rows = [
    ["Subject: x\n\n", "s@x.y"],
    ["Notice-Requested-Upon-Delivery-To: other@h.d\n\n", "s@x.y"],
    [`Subject: x\n\n${NOTICE}`, "s@x.y"],
    [`${NOTICE}\n`, ""],
    [`${NOTICE}\n`, "#@[]"],
  ] as const;
  for (const [text, SENDER] of rows) {
    const { code, message } = await receipt(text, { SENDER });
    assert.deepEqual([code, message], [0, null]);
  }
});

test("qreceipt refuses what it cannot understand", async () => {
  const bad = await receipt('Notice-Requested-Upon-Delivery-To: "x\n\n');
  assert.equal(bad.code, 100);
  assert.match(bad.error, /^unable to parse this: Notice-Requested/);
  assert.equal((await receipt(NOTICE, {})).code, 100);
  assert.equal((await qreceipt([], world(home, "", { env: { SENDER: "" } }))).code, 100);
});
