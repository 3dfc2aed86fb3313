import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDoorLine } from "../../../qmail/log/door-lines.ts";
import * as pop3d from "../../../qmail/pop3d/log.ts";
import * as qmtpd from "../../../qmail/qmtpd/log.ts";
import * as smtpd from "../../../qmail/smtpd/log.ts";

const PEER = { id: "4711.3", ip: "192.0.2.1", tls: "TLSv1.3", user: null };
const MESSAGE = { from: "a@b", to: ["c@d", "e@f"], bytes: 815 };
const DOOR = { program: "smtpd", session: "4711.3", ip: "192.0.2.1", tls: "TLSv1.3" };
const HANDLED = { ip: "192.0.2.1", from: "a@b", bytes: 815 };

/** What a door writes, and what it is read as. */
const CASES: readonly (readonly [string, object])[] = [
  [
    smtpd.accepted(PEER, { ...MESSAGE, helo: "h", qp: 7, msgid: "<1@x>" }),
    { ...DOOR, event: "accepted", from: "a@b", to: "c@d,e@f", bytes: 815, qp: 7, msgid: "<1@x>" },
  ],
  [
    smtpd.refusedMessage(PEER, { ...MESSAGE, reply: "554 too many hops (#5.4.6)" }),
    {
      ...DOOR,
      event: "refused",
      from: "a@b",
      to: "c@d,e@f",
      bytes: 815,
      reason: "554 too many hops (#5.4.6)",
    },
  ],
  [
    smtpd.refusedAddress(PEER, { from: "a@b", reply: "553 no" }),
    { ...DOOR, event: "refused", from: "a@b", reason: "553 no" },
  ],
  [
    smtpd.refusedAddress(PEER, { from: "", to: "c@d", reply: "553 no" }),
    { ...DOOR, event: "refused", from: "", to: "c@d", reason: "553 no" },
  ],
  [
    smtpd.login(PEER, { mechanism: "PLAIN", user: "joe", status: "ok" }),
    { ...DOOR, event: "login", user: "joe" },
  ],
  [
    smtpd.login(PEER, { mechanism: "PLAIN", user: "joe", status: "braked" }),
    { ...DOOR, event: "login-failed", user: "joe", reason: "braked" },
  ],
  [
    smtpd.ended(PEER, { why: "timeout", detail: null, messages: 0, refusals: 0, seconds: 1 }),
    { ...DOOR, event: "ended", reason: "timeout" },
  ],
  [
    smtpd.denied({ id: "1.1", ip: "192.0.2.1", rule: "192.0.2." }),
    { program: "smtpd", session: "1.1", event: "denied", ip: "192.0.2.1", reason: "192.0.2." },
  ],
  [smtpd.warning("oh"), { program: "smtpd", event: "trouble", reason: "oh" }],
  [
    pop3d.login(3, { ip: "192.0.2.1", user: "joe", tls: null }),
    { program: "pop3d", session: "3", event: "login", ip: "192.0.2.1", user: "joe" },
  ],
  [
    pop3d.refused(3, { ip: "192.0.2.1", user: "joe", tls: "TLSv1.3" }, "refused"),
    {
      program: "pop3d",
      session: "3",
      event: "login-failed",
      ip: "192.0.2.1",
      user: "joe",
      tls: "TLSv1.3",
      reason: "refused",
    },
  ],
  [
    pop3d.closed(3, { ip: "192.0.2.1", why: "done", bytes: 9 }),
    { program: "pop3d", session: "3", event: "ended", ip: "192.0.2.1", bytes: 9, reason: "done" },
  ],
  [
    qmtpd.accepted("qmtpd 5", { ...HANDLED, rcpts: 2, qp: 7, msgid: "<1@x>" }),
    { program: "qmtpd", session: "5", event: "accepted", ...HANDLED, qp: 7, msgid: "<1@x>" },
  ],
  [
    qmtpd.accepted("qmqpd 5", { ...HANDLED, rcpts: 2, qp: 7, msgid: null }),
    { program: "qmqpd", session: "5", event: "accepted", ...HANDLED, qp: 7 },
  ],
  [
    qmtpd.refused("qmtpd 5", { ...HANDLED, reply: "Dno (#5.1.3)" }),
    {
      program: "qmtpd",
      session: "5",
      event: "refused",
      ip: "192.0.2.1",
      from: "a@b",
      reason: "Dno (#5.1.3)",
    },
  ],
  [
    qmtpd.broken("qmqpd 5", "192.0.2.1", "not in relayFrom"),
    { program: "qmqpd", session: "5", event: "ended", ip: "192.0.2.1", reason: "not in relayFrom" },
  ],
];

for (const [line, expected] of CASES) {
  test(line.slice(0, -1), () => assert.deepEqual(parseDoorLine(line.slice(0, -1)), expected));
}

test("lines of others are none of a door's", () => {
  for (const text of [
    "",
    "new msg 4",
    "smtpd: hello",
    "pop3d 3: login",
    "qmtpd 3: said x=y",
    "qmtpd",
  ]) {
    assert.equal(parseDoorLine(text), null, text);
  }
});
