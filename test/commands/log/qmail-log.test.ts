import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { LogReader, understood } from "../../../commands/log/analysis/read.ts";
import { Statistics } from "../../../commands/log/analysis/statistics.ts";
import { logProblems } from "../../../commands/log/problems.ts";
import { logReport } from "../../../commands/log/report.ts";
import type { CommandError } from "../../../commands/output.ts";
import { parseLogLine } from "../../../qmail/send/log.ts";
import { Captured } from "../_output.ts";

/** Every kind of line in qmail-log(5), and what stands beside them in logs of qmail hosts. */
const LINES = [
  "status: local 0/10 remote 0/20",
  "new msg 4711",
  "info msg 4711: bytes 815 from <ann@example.com> qp 1500 uid 1000",
  "starting delivery 1: msg 4711 to local bob@example.com",
  "status: local 1/10 remote 0/20",
  "starting delivery 2: msg 4711 to remote carl@example.net",
  "status: local 1/10 remote 1/20",
  "delivery 1: success: did_1+0+0/",
  "delivery 2: failure: Sorry,_I_couldn't_find_any_host_named_example.net._(#5.1.2)/",
  "bounce msg 4711 qp 1501",
  "end msg 4711",
  "new msg 4712",
  "info msg 4712: bytes 1300 from <> qp 1501 uid 84",
  "starting delivery 3: msg 4712 to remote ann@example.com",
  "delivery 3: deferral: Sorry,_I_wasn't_able_to_establish_an_SMTP_connection._(#4.4.1)/",
  "starting delivery 4: msg 4712 to remote ann@example.com",
  "delivery 4: report mangled, will defer",
  "triple bounce: discarding bounce/4713",
  "warning: trouble injecting bounce message, will try later",
  "warning: internal error: delivery report out of range",
  "warning: qmail-clean unable to clean up mess/3/4712",
  "alert: unable to append to bounce message; HELP! sleeping...",
  "alert: oh no! lost spawn connection! dying...",
  "status: local 0/10 remote 0/20 exitasap",
  "status: exiting",
  "alert: cannot start: qmail-send is already running",
  "tcpserver: status: 1/40",
  "tcpserver: pid 2211 from 192.0.2.1",
  "tcpserver: ok 2211 mail.example.com:192.0.2.9:25 client.example.net:192.0.2.1::4040",
  "tcpserver: deny 2212 mail.example.com:192.0.2.9:25 :192.0.2.3::4041",
  "tcpserver: end 2211 status 256",
  "rblsmtpd: 192.0.2.1 pid 2213: 451 http://www.example.org/query?ip=192.0.2.1",
  "CHKUSER rejected rcpt: from <a@b.example::> remote <h:unknown:192.0.2.1> rcpt <x@example.com> : not existing recipient",
  "spamdyke[2214]: DENIED_RDNS_MISSING from: a@b.example to: x@example.com origin_ip: 192.0.2.1 origin_rdns: (unknown) auth: (unknown)",
  "qmail-smtpd: badmailfrom: spam@example.net (192.0.2.1)",
  "vchkpw-smtp: vpopmail user not found joe@example.com:192.0.2.1",
  "vchkpw-pop3: (PLAIN) login success joe@example.com:192.0.2.1",
  "smtpd: 4711.3 event=refused-recipient ip=192.0.2.1 from=<a@b> to=<c@d> reply=553 sorry (#5.7.1)",
];

function read(format: (line: string, at: number) => string) {
  const statistics = new Statistics();
  const reader = new LogReader(statistics, Date.UTC(2026, 10, 24));
  reader.push(Buffer.from(LINES.map((line, at) => `${format(line, at)}\n`).join("")));
  reader.cut();
  return { statistics, reading: reader.reading };
}

const FORMATS: Record<string, (line: string, at: number) => string> = {
  multilog: (line, at) => `@40000000${(0x67434b00 + at).toString(16)}0ee6b280 ${line}`,
  splogger: (line, at) =>
    `Nov  3 15:00:${10 + (at % 50)} mail qmail: 17000000${10 + at}.123456 ${line}`,
  rsyslog: (line, at) => `2026-11-03T15:00:${10 + (at % 50)}.5+01:00 mail qmail[12]: ${line}`,
  accustamp: (line, at) => `17000000${10 + at}.123456 ${line}`,
  "multilog behind syslog": (line, at) =>
    `Nov  3 15:00:${10 + (at % 50)} mail qmail: @40000000${(0x67434b00 + at).toString(16)}0ee6b280 ${line}`,
  "syslog as of RFC 5424": (line, at) =>
    `<22>1 2026-11-03T15:00:${10 + (at % 50)}.5+01:00 mail qmail 12 - - ${line}`,
  "docker compose": (line, at) => `mail-1  | 2026-11-03T15:00:${10 + (at % 50)}.5Z ${line}`,
  tai64nlocal: (line, at) => `2026-11-03 15:00:${10 + (at % 50)}.500000000 ${line}`,
};

for (const [name, format] of Object.entries(FORMATS)) {
  test(`every line of a qmail's log, as ${name} stamps it`, () => {
    const { statistics, reading } = read(format);
    assert.deepEqual(reading.unknownLines, []);
    assert.equal(reading.lines, LINES.length);
    assert.equal(reading.unstamped, 0);
    assert.equal(understood(reading), `all ${LINES.length} lines`);
    const { messages, successes, failures, deferrals, bounces, tripleBounces, restarts } =
      statistics;
    assert.deepEqual(
      { messages, successes, failures, deferrals, bounces, tripleBounces, restarts },
      {
        messages: 1,
        successes: 1,
        failures: 1,
        deferrals: 2,
        bounces: 1,
        tripleBounces: 1,
        restarts: 1,
      },
    );
    assert.equal(statistics.refusals.size, 6);
    const doors = Object.fromEntries(statistics.doors.doors.entries());
    assert.deepEqual(
      [doors.vchkpw?.logins, doors.vchkpw?.badLogins, doors.smtpd?.refused],
      [1, 1, 1],
    );
  });
}

test("a line that nobody knows is counted and kept", () => {
  const reader = new LogReader(new Statistics(), 0);
  reader.push(Buffer.from("1700000000.1 la la la\nno stamp\n"));
  reader.cut();
  assert.deepEqual(reader.reading.unknownLines, ["la la la", "no stamp"]);
  assert.equal(reader.reading.unstamped, 1);
  assert.equal(understood(reader.reading), "0 of 2 lines (0 %)");
});

/** Two messages in two queues of indimail's, whose deliveries have the same number. */
const INDIMAIL = [
  "info: qmail-send: pid 7 queue1 starting",
  "new msg 131 queue1",
  "info msg 131: bytes 100 from <ann@x.test> qp 5 uid 1 queue1",
  "new msg 132 queue2",
  "info msg 132: bytes 200 from <bob@x.test> qp 6 uid 1 queue2",
  "starting delivery 1.q1: msg 131 to local queue1 queue1",
  "status: local 1/10 remote 0/20 queue1",
  "starting delivery 1.q2: msg 132 to remote joe@y.test queue2",
  "status: local 0/10 (held) remote 1/20 delayed jobs=3 queue2 exitasap",
  "delivery 1.q2: failure: no_such_user/ queue2",
  "bounce msg 132 qp 9 queue2",
  "end msg 132 qmail-send: queue2",
  "delivery 1.q1: success: did_1+0+0/ queue1",
  "end msg 131 queue1",
  "delivery 2.q1: report mangled, will defer: queue1",
  "triple bounce: discarding bounce/132 queue2",
  "warn: qmail-send: queue1: unable to stat mess/5/9; will try again later",
];

test("indimail's lines: each queue has its own deliveries", () => {
  const statistics = new Statistics();
  const reader = new LogReader(statistics, 0);
  for (const [at, line] of INDIMAIL.entries()) {
    reader.push(Buffer.from(`${1_700_000_000 + at}.5 ${line}\n`));
  }
  reader.cut();
  assert.deepEqual(reader.reading.unknownLines, []);
  assert.equal(reader.reading.understood, INDIMAIL.length);
  const { messages, successes, failures, bounces, tripleBounces, matcher } = statistics;
  assert.deepEqual([messages, successes, failures, bounces, tripleBounces], [2, 1, 1, 1, 1]);
  const recipients = matcher.recipients.all().map(({ name, xdelay }) => [name, xdelay]);
  assert.deepEqual(recipients.sort(), [
    ["local.queue1", 7],
    ["remote.joe@y.test", 2],
  ]);
});

test("a recipient called as one of indimail's queues stays one", () => {
  for (const name of ["queue1", "slowq", "qmta"]) {
    const line = `starting delivery 7: msg 5 to local ${name}`;
    const parsed = parseLogLine(line);
    assert.deepEqual(parsed.type === "starting" && [parsed.delivery, parsed.recipient], [7, name]);
  }
});

async function withLog<T>(text: string, action: (path: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-log-"));
  const path = join(directory, "mail.log");
  writeFileSync(path, text);
  try {
    return await action(path);
  } finally {
    rmSync(directory, { recursive: true });
    process.exitCode = 0;
  }
}

const STRANGE = "2026/11/24 15:04:05 \u001b[2Jan unknown form\n";
const KNOWN = "1700000000.5 new msg 5\n";

test("report and problems of a log that nobody understands say so, and of a part how large it is", async () => {
  const report = (text: string, output = new Captured()) =>
    withLog(text, async (path) => {
      const options = { what: [], csv: false, home: "/none", files: [path], output };
      await logReport(options);
      return output;
    });
  await assert.rejects(
    report(STRANGE.repeat(3)),
    (error: CommandError) =>
      /^none of the 3 lines of this log was understood: no line has a time$/.test(error.message) &&
      error.hints.some((hint) => hint.includes("?[2Jan unknown form")),
  );
  const part = await report(KNOWN.repeat(2) + STRANGE);
  assert.match(part.text, /^Basic statistics of 2 of 3 lines \(67 %\)\n/);
  assert.match(
    part.notes,
    /^2 of 3 lines \(67 %\) were understood; others, for example:\n.*\?\[2Jan/,
  );
  assert.match((await report(KNOWN)).text, /^Basic statistics of 1 line\n/);

  const problems = (text: string) =>
    withLog(text, async (path) => {
      const output = new Captured();
      await logProblems({ home: "/none", files: [path], output });
      return [process.exitCode, output.text];
    });
  const [code, text] = await problems(STRANGE.repeat(3));
  assert.equal(code, 1);
  assert.match(
    String(text),
    /^Nothing in this log was understood\n {2}seen: none of 3 lines .*\?\[2J/,
  );
  assert.match(
    String((await problems(KNOWN + STRANGE))[1]),
    /^No problem in 1 of 2 lines \(50 %\) that were understood; not, for example: .*\?\[2J/,
  );
  assert.deepEqual(await problems(KNOWN), [0, "No problem in 1 line.\n"]);
});
