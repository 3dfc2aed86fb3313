/** Bounces as delivery status notifications, in a whole installation: local and remote failures, and bounces of bounces. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import PostalMime from "postal-mime";
import { type FarServer, farServer } from "../qmail/remote/_server.ts";
import { arrived, makeSite, type Site, smtp, smtpMessage, until } from "./_site.ts";

async function startSite(
  format: string,
  port: number,
  control: Readonly<Record<string, string>> = {},
): Promise<Site> {
  const site = await makeSite({
    routes: { "": `127.0.0.1:${port}` },
    rcpthosts: ["mail.example.test", "far.test"],
    aliases: { you: "./you/Maildir/", postmaster: "./postmaster/Maildir/" },
    bounces: { format, maxBytes: 500 },
    control,
  });
  await site.ok("install");
  await site.ok("start");
  return site;
}

const maildir = (site: Site, name: string) => join(site.home, `alias/${name}/Maildir/new`);

async function post(site: Site, from: string, to: string, body = "hello"): Promise<void> {
  const answers = await smtp(site.port, smtpMessage(from, to, body));
  assert.match(answers[5] ?? "", /^250 /);
}

/** The fields of the delivery status in `text`, by group, and the type of what was given back. */
async function status(text: string): Promise<{ groups: string[]; original: string }> {
  const { attachments } = await PostalMime.parse(text, { forceRfc822Attachments: true });
  const [report, original] = attachments;
  assert.equal(report?.mimeType, "message/delivery-status");
  const fields = Buffer.from(report?.content as ArrayBuffer).toString("latin1");
  return { groups: fields.trimEnd().split(/\n\n/), original: original?.mimeType ?? "" };
}

test("dsn: what a program needs to know of a local and a remote failure", async () => {
  await using far = await farServer({ RCPT: "550-5.1.1 there is\r\n550 5.1.1 no such user" });
  await using site = await startSite("dsn", far.port);
  const before = Math.floor(Date.now() / 1000) * 1000;
  await post(site, "you@mail.example.test", "nobody@mail.example.test");
  const [local = ""] = await arrived(maildir(site, "you"), 1);
  const first = await status(local);
  assert.match(first.groups[0] ?? "", /^Reporting-MTA: dns; mail\.example\.test\nArrival-Date: /);
  const arrival = Date.parse(/Arrival-Date: (.*)/.exec(first.groups[0] ?? "")?.[1] ?? "");
  assert.ok(arrival >= before && arrival <= Date.now());
  assert.equal(
    first.groups[1],
    "Final-Recipient: rfc822; nobody@mail.example.test\nAction: failed\nStatus: 5.1.1\n" +
      "Diagnostic-Code: X-Qmail; Sorry, no mailbox here by that name. (#5.1.1)",
  );
  assert.equal(first.original, "message/rfc822");

  await post(site, "you@mail.example.test", "joe@far.test", "x".repeat(1000));
  const texts = await arrived(maildir(site, "you"), 2);
  const second = await status(texts.find((text) => text.includes("joe@far.test")) ?? "");
  assert.equal(
    second.groups[1],
    "Final-Recipient: rfc822; joe@far.test\nAction: failed\nStatus: 5.1.1\nRemote-MTA: dns; [127.0.0.1]\n" +
      "Diagnostic-Code: smtp; 550-5.1.1 there is\n 550 5.1.1 no such user",
  );
  assert.equal(second.original, "text/rfc822-headers");
});

test("dsn: the bounce of a bounce goes to the postmaster, and that is the end of it", async () => {
  await using far = await farServer({ RCPT: "550 5.1.1 no" });
  await using site = await startSite("dsn", far.port);
  await post(site, "ghost@far.test", "nobody@mail.example.test");
  const [double = ""] = await arrived(maildir(site, "postmaster"), 1);
  assert.match(double, /^Return-Path: <#@\[\]>\n/);
  assert.match(
    double,
    /\nI tried to deliver a bounce message to this address, but the bounce bounced!\n/,
  );
  assert.match(double, /^Final-Recipient: rfc822; ghost@far\.test$/m);
  assert.deepEqual(senders(far), ["MAIL FROM:<>"]);
  await quiet(site);
  assert.deepEqual(senders(far), ["MAIL FROM:<>"]);
});

for (const format of ["dsn", "qsbmf"]) {
  test(`${format}: a double bounce that bounces is thrown away`, async () => {
    await using far = await farServer({ RCPT: "550 5.1.1 no" });
    await using site = await startSite(format, far.port, { doublebounceto: "nobody2" });
    await post(site, "ghost@far.test", "nobody@mail.example.test");
    await until(() => log(site).includes("triple bounce: discarding bounce/"), "the triple bounce");
    await quiet(site);
    // The message, its bounce, and that one's: no more.
    assert.equal((log(site).match(/ info msg /g) ?? []).length, 3);
    assert.deepEqual(senders(far), ["MAIL FROM:<>"]);
  });
}

function senders({ commands }: FarServer): string[] {
  return commands.filter((line) => line.startsWith("MAIL"));
}

function log(site: Site): string {
  return readFileSync(join(site.home, "log/qmail-send/current"), "latin1");
}

/** Waits until every message that was queued has come to its end. */
async function quiet(site: Site): Promise<void> {
  const count = (what: RegExp) => (log(site).match(what) ?? []).length;
  await until(() => count(/ new msg /g) === count(/ end msg /g), "an empty queue");
}
