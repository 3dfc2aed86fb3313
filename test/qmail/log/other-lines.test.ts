import assert from "node:assert/strict";
import { test } from "node:test";
import { classify } from "../../../qmail/log/other-lines.ts";

/** Lines as they are seen in the logs of qmail hosts, and what they say. */
const CASES: readonly (readonly [string, object])[] = [
  [
    "tcpserver: ok 2211 mail.example.com:192.0.2.9:25 client.example.net:192.0.2.1::4040",
    { program: "tcpserver", event: "connected", session: "2211", ip: "192.0.2.1" },
  ],
  [
    "tcpserver: ok 2211 mail:::ffff:192.0.2.9:25 :::ffff:192.0.2.1:joe:4040",
    { program: "tcpserver", event: "connected", session: "2211", ip: "192.0.2.1" },
  ],
  [
    "tcpserver: deny 2212 0:2001:db8::9:25 :2001:db8::1::4041",
    { program: "tcpserver", event: "denied", session: "2212", ip: "2001:db8::1" },
  ],
  [
    "tcpserver: pid 2211 from 192.0.2.1",
    { program: "tcpserver", event: "note", session: "2211", ip: "192.0.2.1" },
  ],
  ["tcpserver: end 2211 status 256", { program: "tcpserver", event: "ended", session: "2211" }],
  [
    "tcpserver: fatal: unable to bind: address already used",
    {
      program: "tcpserver",
      event: "trouble",
      reason: "fatal: unable to bind: address already used",
    },
  ],
  [
    "rblsmtpd: 192.0.2.1 pid 2213: 451 http://www.example.org/query?ip=192.0.2.1",
    {
      program: "rblsmtpd",
      event: "refused",
      session: "2213",
      ip: "192.0.2.1",
      reason: "451 http://www.example.org/query?ip=192.0.2.1",
    },
  ],
  [
    "CHKUSER rejected rcpt: from <a@b.example::> remote <h:unknown:192.0.2.1> rcpt <x@example.com> : not existing recipient",
    {
      program: "chkuser",
      event: "refused",
      from: "a@b.example",
      to: "x@example.com",
      ip: "192.0.2.1",
      reason: "rejected rcpt",
    },
  ],
  [
    "CHKUSER accepted rcpt: from <a@b::> remote <h:u:1> rcpt <x@y> : found existing recipient",
    { program: "chkuser", event: "note" },
  ],
  [
    "vchkpw-smtp: password fail joe@example.com:192.0.2.1",
    { program: "vchkpw", event: "login-failed", user: "joe@example.com", ip: "192.0.2.1" },
  ],
  [
    "vchkpw-pop3: vpopmail user not found joe@example.com:192.0.2.1",
    { program: "vchkpw", event: "login-failed", user: "joe@example.com", ip: "192.0.2.1" },
  ],
  [
    "vchkpw-submission: (PLAIN) login success joe@example.com:192.0.2.1",
    { program: "vchkpw", event: "login", user: "joe@example.com", ip: "192.0.2.1" },
  ],
  [
    "spamdyke[2214]: DENIED_RDNS_MISSING from: a@b.example to: x@example.com origin_ip: 192.0.2.1 origin_rdns: (unknown) auth: (unknown)",
    {
      program: "spamdyke",
      event: "refused",
      from: "a@b.example",
      to: "x@example.com",
      ip: "192.0.2.1",
      reason: "DENIED_RDNS_MISSING",
    },
  ],
  [
    "qmail-smtpd: badmailfrom: spam@example.net (192.0.2.1)",
    {
      program: "qmail-smtpd",
      event: "refused",
      ip: "192.0.2.1",
      reason: "badmailfrom: spam@example.net ",
    },
  ],
];

for (const [line, expected] of CASES) {
  test(line, () => assert.deepEqual({ ...classify(line) }, expected));
}

test("syslog has taken the program's name off", () => {
  assert.equal(classify("login success joe@x:192.0.2.1", "vchkpw-pop3")?.event, "login");
  assert.equal(classify("status: 1/40", "tcpserver")?.program, "tcpserver");
});

test("a line of nobody's", () => assert.equal(classify("la la la"), null));
