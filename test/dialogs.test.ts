/** Each reply of each protocol stands in full in a dialog, which both its doors are held to. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import * as pop3 from "../qmail/pop3d/replies.ts";
import * as qmtp from "../qmail/qmtpd/replies.ts";
import * as smtp from "../qmail/smtpd/replies.ts";

const DIALOGS = new URL("./dialogs/", import.meta.url);

/** What the other side says in the dialogs of these kinds, a line each. */
function replies(...kinds: readonly string[]): string[] {
  return readdirSync(DIALOGS)
    .filter((name) => kinds.includes(name.split(".").at(-1) ?? ""))
    .flatMap((name) => readFileSync(new URL(name, DIALOGS), "latin1").split("\n"))
    .flatMap((line) => /^(?:<-|answer) (?:\*\d+ )?(.*)$/.exec(line)?.[1] ?? []);
}

/** Replies that have something of their occasion in them. */
const PATTERNS: Readonly<Record<string, RegExp>> = {
  "smtp.greeting": /^220 mail\.test ESMTP/,
  "smtp.helo": /^250 mail\.test/,
  "smtp.ehlo": /^250-SIZE 1/,
  "smtp.accepted": /250 ok .*qp/,
  "smtp.queueFailed": /^554 mail server permanently rejected message \(#5\.3\.0\)/,
  "smtp.quit": /^221 mail\.test/,
  "smtp.badHeader": /^554 .*\(#5\.6\.0\)/,
  "smtp.chunkTaken": /^250 ok 3 octets/,
  "smtp.challenge": /^334 VXNlcm5hbWU6/,
  "pop3.okay": /^\+OK 1 /,
  "pop3.greeting": /^\+OK </,
  "pop3.lines": /^\.$/,
  "pop3.capabilities": /^UIDL$/,
  "qmtp.accepted": /^Kok/,
  "qmtp.queueFailed": /^D.*\(#5\.3\.0\)/,
};

/** What no dialog of one session can come to, and the test that does. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  "smtp.authBraked": "./qmail/pop3d/service.test.ts",
  "smtp.busy": "./qmail/smtpd/server.test.ts",
  "smtp.noRoom": "./qmail/smtpd/server.test.ts",
  "smtp.queueNotOpen": "./qmail/smtpd/session.test.ts",
  "smtp.tooLong": "./qmail/smtpd/patience.test.ts",
  "qmtp.noRoom": "./qmail/qmtpd/service.test.ts",
  "pop3.busy": "./qmail/pop3d/service.test.ts",
  "pop3.crashed": "./qmail/pop3d/qmail-popup.test.ts",
  "pop3.goingDown": "./qmail/pop3d/service.test.ts",
  "pop3.idle": "./qmail/pop3d/qmail-popup.test.ts",
  "pop3.popupUsage": "./qmail/pop3d/qmail-popup.test.ts",
  "pop3.tooManyFailures": "./qmail/pop3d/service.test.ts",
};

const PROTOCOLS = {
  smtp: { words: smtp, said: replies("smtp") },
  pop3: { words: pop3, said: replies("pop3") },
  qmtp: { words: qmtp, said: replies("qmtp", "qmqp") },
};

for (const [protocol, { words, said }] of Object.entries(PROTOCOLS)) {
  test(`every reply of ${protocol} is in a dialog`, () => {
    const missing = Object.entries<(...args: never[]) => unknown>(words).flatMap(
      ([name, reply]) => {
        const key = `${protocol}.${name}`;
        const pattern = PATTERNS[key];
        const elsewhere = ELSEWHERE[key];
        if (pattern) return said.some((line) => pattern.test(line)) ? [] : [`${key}: ${pattern}`];
        assert.equal(reply.length, 0, `${key} needs a pattern`);
        const text = String(reply()).trimEnd();
        if (!elsewhere) return said.includes(text) ? [] : [`${key}: ${text}`];
        const test = readFileSync(new URL(elsewhere, import.meta.url), "utf8");
        return test.includes(text) ? [] : [`${key}: ${text} in ${elsewhere}`];
      },
    );
    assert.deepEqual(missing, []);
  });
}
