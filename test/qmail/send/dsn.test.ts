/** Delivery status notifications, read by a MIME parser that is not ours. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import PostalMime, { type Email } from "postal-mime";
import { ConstMap, ConstSet } from "../../../qmail/control/constmap.ts";
import type { Qmail } from "../../../qmail/queue/qmail.ts";
import { bounceEntry } from "../../../qmail/send/bounce.ts";
import { putDsn } from "../../../qmail/send/dsn.ts";

const tables = {
  envnoathost: "me.test",
  percenthack: new ConstSet([]),
  locals: new ConstSet([]),
  virtualdomains: new ConstMap([]),
};

interface Failed {
  readonly recipient: string;
  readonly report: string;
}

interface Options {
  readonly message?: string;
  readonly sender?: string;
  readonly maxBytes?: number;
}

/** The notification about `failed` as bytes. */
async function dsn(failed: readonly Failed[], options: Options = {}): Promise<Buffer> {
  const { message = "Subject: original\n\nbody\n", sender = "me@near.test" } = options;
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-dsn-"));
  const messPath = join(directory, "mess");
  const entries = failed.map(({ recipient, report }) => bounceEntry(tables, recipient, report));
  writeFileSync(messPath, message, "latin1");
  const pieces: Buffer[] = [];
  const queue: Qmail = {
    full: false,
    put: (bytes) => void pieces.push(Buffer.from(bytes)),
    drained: () => Promise.resolve(),
    abort() {},
    close: () => Promise.resolve({ ok: true, qp: 1 }),
  };
  const names = { from: "MAILER-DAEMON", host: "mail.test" };
  const bounce = {
    sender,
    names,
    now: 1000,
    birth: 100,
    text: () => [Buffer.from(entries.join(""), "latin1")],
    messPath,
  };
  const { maxBytes = 50_000 } = options;
  await putDsn(queue, bounce, { recipient: "me@near.test", maxBytes, unique: "=_unique" });
  rmSync(directory, { recursive: true });
  return Buffer.concat(pieces);
}

interface Parts {
  readonly email: Email;
  /** The groups of fields of the delivery status. */
  readonly status: readonly string[];
  readonly original: { readonly type: string; readonly text: string };
}

async function read(bytes: Buffer): Promise<Parts> {
  const email = await PostalMime.parse(bytes, { forceRfc822Attachments: true });
  const [status, original] = email.attachments;
  assert.equal(email.attachments.length, 2);
  assert.equal(status?.mimeType, "message/delivery-status");
  return {
    email,
    status: text(status?.content).trimEnd().split("\n\n"),
    original: { type: original?.mimeType ?? "", text: text(original?.content) },
  };
}

function text(content: unknown): string {
  return Buffer.from(content as ArrayBuffer)
    .toString("latin1")
    .replaceAll("\r\n", "\n");
}

const NOBODY = {
  recipient: "nobody@far.test",
  report:
    "192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 nobody\nGiving up on 192.0.2.1.\n",
};

test("a notification, word for word", async () => {
  assert.equal(
    (await dsn([NOBODY])).toString("latin1"),
    `Date: 1 Jan 1970 00:16:40 -0000
From: MAILER-DAEMON@mail.test
To: me@near.test
Subject: failure notice
Message-ID: <=_unique@mail.test>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
 boundary="=_unique"
Content-Transfer-Encoding: 8bit

--=_unique
Content-Description: Notification
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Hi. This is the qmail-send program at mail.test.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<nobody@far.test>:
192.0.2.1 does not like recipient.
Remote host said: 550 5.1.1 nobody
Giving up on 192.0.2.1.


--=_unique
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.test
Arrival-Date: 1 Jan 1970 00:01:40 -0000

Final-Recipient: rfc822; nobody@far.test
Action: failed
Status: 5.1.1
Remote-MTA: dns; [192.0.2.1]
Diagnostic-Code: smtp; 550 5.1.1 nobody

--=_unique
Content-Description: Undelivered message
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

Return-Path: <me@near.test>
Subject: original

body

--=_unique--
`,
  );
});

test("a parser finds the note, the status of each recipient, and the message", async () => {
  const { email, status, original } = await read(
    await dsn([NOBODY, { recipient: "joe@near.test", report: "no mailbox (#5.1.1)\n" }]),
  );
  assert.equal(email.subject, "failure notice");
  assert.equal(email.from?.address, "MAILER-DAEMON@mail.test");
  const type = email.headers.find(({ key }) => key === "content-type")?.value ?? "";
  assert.match(type, /^multipart\/report;\s+report-type=delivery-status;/);
  assert.match(email.text ?? "", /^Hi\. This is the qmail-send program at mail\.test\./);
  assert.match(email.text ?? "", /\n<joe@near\.test>:\nno mailbox \(#5\.1\.1\)\n/);
  assert.equal(status.length, 3);
  assert.match(
    status[2] ?? "",
    /^Final-Recipient: rfc822; joe@near\.test\nAction: failed\nStatus: 5\.1\.1\n/,
  );
  assert.equal(original.type, "message/rfc822");
  assert.equal(original.text.trimEnd(), "Return-Path: <me@near.test>\nSubject: original\n\nbody");
});

test("of a large message the header goes back", async () => {
  const message = `Subject: large\nX: y\n\n${"body\n".repeat(100)}`;
  for (const [maxBytes, type] of [
    [message.length, "message/rfc822"],
    [message.length - 1, "text/rfc822-headers"],
    [0, "text/rfc822-headers"],
  ] as const) {
    const { original } = await read(await dsn([NOBODY], { message, maxBytes }));
    assert.equal(original.type, type);
    assert.equal(original.text.includes("body\n"), type === "message/rfc822");
    assert.match(original.text, /^Return-Path: <me@near\.test>\nSubject: large\nX: y\n/);
  }
  const bare = await read(await dsn([NOBODY], { message: "\nno header\n", maxBytes: 0 }));
  assert.equal(bare.original.text.trimEnd(), "Return-Path: <me@near.test>");
});

test("the bounce of a bounce says so", async () => {
  const { email, original } = await read(await dsn([NOBODY], { sender: "" }));
  assert.match(email.text ?? "", /but the bounce bounced!/);
  assert.match(original.text, /^Return-Path: <>\n/);
});

test("whatever the recipients and reports, there is a group for each and no line too long", async () => {
  const word = fc
    .string({ unit: "binary", maxLength: 40 })
    .map((s) => Buffer.from(s).toString("latin1"));
  const failed = fc.record({
    recipient: word.map((local) => `${local.replaceAll("\0", "")}@far.test`),
    report: fc.oneof(
      word,
      word.map((words) => `Remote host said: 550 ${words}\n`),
    ),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(failed, { minLength: 1, maxLength: 5 }),
      word,
      async (all, message) => {
        const bytes = await dsn(all, { message });
        const { status, email } = await read(bytes);
        assert.equal(status.length, all.length + 1);
        for (const group of status.slice(1)) {
          assert.match(
            group,
            /^Final-Recipient: (?:rfc822|utf-8); [ -~]*\nAction: failed\nStatus: [45]\.\d+\.\d+\n/,
          );
          for (const line of group.split("\n"))
            assert.match(line, /^(?:[A-Z][A-Za-z-]+: | )[ -~]*$/);
        }
        assert.ok(email.text?.startsWith("Hi. This is"));
      },
    ),
    { numRuns: 200 },
  );
});
