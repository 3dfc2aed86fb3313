import assert from "node:assert/strict";
import { test } from "node:test";
import { generate } from "../../../bench/generate-log.ts";
import { Lookout } from "../../../commands/log/analysis/lookout.ts";
import { LogReader } from "../../../commands/log/analysis/read.ts";
import { findProblems } from "../../../commands/log/problems.ts";
import { login, NO_RCPTHOSTS, warning } from "../../../qmail/smtpd/log.ts";

function problems(lines: readonly string[]): string[] {
  const lookout = new Lookout();
  const reader = new LogReader(lookout, Date.now());
  reader.push(Buffer.from(`${lines.join("\n")}\n`, "latin1"));
  reader.cut();
  return findProblems(lookout).map(({ name }) => name);
}

/** A message of one delivery from second `at` on, of so many seconds. */
function message(
  n: number,
  at: number,
  what: { sender?: string; to?: string; outcome?: string; wait?: number; took?: number } = {},
): string[] {
  const {
    sender = `s${n}@example.com`,
    to = "remote r@example.net",
    outcome = "success: ok",
    wait = 0,
    took = 1,
  } = what;
  const time = (seconds: number) => (1_700_000_000 + at + seconds).toFixed(6);
  return [
    `${time(0)} new msg ${n}`,
    `${time(0)} info msg ${n}: bytes 100 from <${sender}> qp ${n} uid 1`,
    `${time(wait)} starting delivery ${n}: msg ${n} to ${to}`,
    `${time(wait + took)} delivery ${n}: ${outcome}`,
    `${time(wait + took)} end msg ${n}`,
  ];
}

const many = (count: number, make: (n: number) => string[]) =>
  Array.from({ length: count }, (_, n) => make(n + 1)).flat();

test("a healthy log has no problem", () => {
  const lookout = new Lookout();
  const reader = new LogReader(lookout, Date.now());
  generate(20_000, (text) => reader.push(Buffer.from(text, "latin1")));
  reader.cut();
  assert.deepEqual(findProblems(lookout), []);
});

const T = "1700000000.000000";

function logins(count: number, who: (n: number) => { ip: string; user: string }): string[] {
  return Array.from({ length: count }, (_, n) => {
    const { ip, user } = who(n);
    const peer = { id: `1.${n}`, ip, tls: null, user: null };
    return `${T} ${login(peer, { mechanism: "PLAIN", user, status: "refused" })}`.trim();
  });
}

const CASES: Record<string, string[]> = {
  alerts: [`${T} alert: unable to append to bounce message; HELP! sleeping...`],
  queue: many(5, (n) =>
    message(n, n, {
      outcome: "deferral: Unable_to_forward_message:_qq_write_error_or_disk_full_(#4.3.0)./",
    }),
  ),
  silly: many(30, (n) => message(n, n, { wait: 60 })),
  backlog: many(600, (n) => message(n, n).slice(0, 2)),
  concurrencyremote: [
    `${T} status: local 0/10 remote 20/20`,
    "1700000100.000000 status: local 0/10 remote 3/20",
  ],
  concurrencylocal: [
    `${T} status: local 10/10 remote 0/20`,
    "1700000100.000000 status: local 0/10 remote 3/20",
  ],
  dns: many(20, (n) =>
    message(n, n, {
      to: `remote r@h${n}.example`,
      outcome: "deferral: CNAME_lookup_failed_temporarily._(#4.4.3)/",
    }),
  ),
  slowhost: many(30, (n) => message(n, n, { to: "remote r@slow.example", took: 40 })),
  loops: message(1, 0, {
    to: "local a@b",
    outcome: "failure: This_message_is_looping:_it_already_has_my_Delivered-To_line._(#5.4.6)/",
  }),
  backscatter: many(60, (n) => message(n, n, { sender: "" })),
  doublebounces: [`${T} triple bounce: discarding bounce/5`],
  sender: [
    ...many(10, (n) => message(n, n * 3600, { sender: "ann@example.com" })),
    ...many(400, (n) => message(n + 10, 36_000 + n, { sender: "ann@example.com" })),
  ],
  rcpthosts: [`${T} ${warning(NO_RCPTHOSTS)}`.trim()],
  doors: [`${T} ${warning("cannot put a message in: ENOSPC")}`.trim()],
  guesses: logins(60, (n) => ({ ip: "192.0.2.1", user: `joe${n}` })),
  account: logins(120, (n) => ({ ip: `198.51.100.${n}`, user: "ann" })),
  refused: Array.from(
    { length: 150 },
    (_, n) =>
      `${T} smtpd: 1.${n} event=refused-recipient ip=192.0.2.1 from=<a@b> to=<c${n}@d> reply=553 sorry`,
  ),
  restarts: Array.from({ length: 6 }, (_, n) => [
    ...message(n + 1, n),
    `${(1_700_000_000 + n).toFixed(6)} status: exiting`,
  ]).flat(),
};

for (const [name, lines] of Object.entries(CASES)) {
  test(`found: ${name}, and nothing else`, () => assert.deepEqual(problems(lines), [name]));
}
