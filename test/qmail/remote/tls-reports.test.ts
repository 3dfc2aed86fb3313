import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Published } from "../../../qmail/remote/choose-policy.ts";
import { tlsFault } from "../../../qmail/remote/tls-fault.ts";
import {
  readTlsDay,
  TlsReports,
  type TlsSession,
  tlsDays,
} from "../../../qmail/remote/tls-reports.ts";

const DAY = "2026-11-24";
const STS: Published = {
  type: "sts",
  lines: ["version: STSv1", "mode: testing", "mx: mx.far.test", "max_age: 86400"],
  mx: ["mx.far.test"],
};
const NOTHING: Published = { type: "no-policy-found", lines: [], mx: [] };

function session(change: Partial<TlsSession> = {}): TlsSession {
  const where = { mx: "mx.far.test", ip: "192.0.2.1", from: "192.0.2.9" };
  return { domain: "far.test", published: NOTHING, fault: null, ...where, ...change };
}

function world(t: TestContext) {
  const home = mkdtempSync(join(tmpdir(), "qmailctl-tls-"));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  const directory = join(home, "new/tls");
  const clock = { ms: Date.parse(`${DAY}T12:00:00Z`) };
  const make = () => new TlsReports(directory, () => clock.ms);
  return { directory, clock, make };
}

test("sessions are counted by domain and policy, failures by reason, in the words of RFC 8460", (t) => {
  const { directory, make } = world(t);
  const reports = make();
  const fault = tlsFault("certificate-expired", "it has expired");
  for (const each of [
    session(),
    session({ domain: "FAR.test" }),
    session({ published: STS }),
    session({ published: STS, fault }),
    session({ published: STS, fault }),
    session({
      published: STS,
      fault: tlsFault("starttls-not-supported", "none offered"),
      ip: "192.0.2.2",
    }),
    session({ domain: "other.test" }),
  ]) {
    reports.note(each);
  }
  reports.save();
  const where = { "receiving-mx-hostname": "mx.far.test", "sending-mta-ip": "192.0.2.9" };
  const summary = (good: number, failed: number) => ({
    "total-successful-session-count": good,
    "total-failure-session-count": failed,
  });
  const none = (domain: string) => ({ "policy-type": "no-policy-found", "policy-domain": domain });
  assert.deepEqual(readTlsDay(directory, DAY), [
    { policy: none("far.test"), summary: summary(2, 0), "failure-details": [] },
    {
      policy: {
        "policy-type": "sts",
        "policy-string": STS.lines,
        "policy-domain": "far.test",
        "mx-host": ["mx.far.test"],
      },
      summary: summary(1, 3),
      "failure-details": [
        {
          ...where,
          "result-type": "certificate-expired",
          "receiving-ip": "192.0.2.1",
          "failed-session-count": 2,
          "failure-reason-code": "it has expired",
        },
        {
          ...where,
          "result-type": "starttls-not-supported",
          "receiving-ip": "192.0.2.2",
          "failed-session-count": 1,
          "failure-reason-code": "none offered",
        },
      ],
    },
    { policy: none("other.test"), summary: summary(1, 0), "failure-details": [] },
  ]);
});

test("a restart goes on counting, a new day begins anew, a month is kept", (t) => {
  const { directory, clock, make } = world(t);
  const good = (day: string) => {
    return readTlsDay(directory, day)?.[0]?.summary["total-successful-session-count"];
  };
  for (let restart = 0; restart < 2; restart++) {
    const reports = make();
    reports.note(session());
    reports.save();
  }
  assert.equal(good(DAY), 2);
  const reports = make();
  reports.note(session());
  clock.ms += 86_400_000;
  reports.note(session());
  // What was counted before midnight is written when the day is over.
  assert.equal(good(DAY), 3);
  reports.save();
  assert.equal(good("2026-11-25"), 1);
  assert.deepEqual(tlsDays(directory), [DAY, "2026-11-25"]);
  clock.ms += 30 * 86_400_000;
  reports.note(session());
  reports.save();
  assert.deepEqual(tlsDays(directory), ["2026-11-25", "2026-12-25"]);
  assert.deepEqual(readdirSync(directory).length, 2);
});

test("nothing is written when nothing has happened", (t) => {
  const { directory, make } = world(t);
  make().save();
  assert.ok(!existsSync(directory));
  assert.deepEqual(tlsDays(directory), []);
  assert.equal(readTlsDay(directory, DAY), null);
});

test("whatever others publish and do, a day has its measure", (t) => {
  const { directory, make } = world(t);
  const reports = make();
  for (let at = 0; at < 200; at++) {
    const fault = tlsFault("validation-failure", `${at} ${"x".repeat(10_000)}`);
    reports.note(session({ fault }));
  }
  const lines = Array.from({ length: 1000 }, () => "y".repeat(10_000));
  reports.note(session({ published: { type: "tlsa", lines, mx: lines } }));
  for (let at = 0; at < 11_000; at++) reports.note(session({ domain: `d${at}.test` }));
  reports.save();
  const counts = readTlsDay(directory, DAY) ?? [];
  assert.equal(counts.length, 10_000);
  assert.equal(counts[0]?.summary["total-failure-session-count"], 200);
  assert.equal(counts[0]?.["failure-details"].length, 50);
  assert.ok(JSON.stringify(counts.slice(0, 2)).length < 100_000);
});
