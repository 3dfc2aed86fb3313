import assert from "node:assert/strict";
import { test } from "node:test";
import { LogReader } from "../../../commands/log/analysis/read.ts";
import { Statistics } from "../../../commands/log/analysis/statistics.ts";

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
  tai64nlocal: (line, at) => `2026-11-03 15:00:${10 + (at % 50)}.500000000 ${line}`,
};

for (const [name, format] of Object.entries(FORMATS)) {
  test(`every line of a qmail's log, as ${name} stamps it`, () => {
    const { statistics, reading } = read(format);
    assert.deepEqual(reading.unknownLines, []);
    assert.equal(reading.lines, LINES.length);
    assert.equal(reading.unstamped, 0);
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
});
