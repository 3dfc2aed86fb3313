import assert from "node:assert/strict";
import { test } from "node:test";
import { generate } from "../../../bench/generate-log.ts";
import { groupOf, readable } from "../../../commands/log/reason.ts";
import { TopModel } from "../../../commands/top/model.ts";
import { type Snapshot, type Surroundings, snapshot } from "../../../commands/top/snapshot.ts";
import { parseTai64n, STAMP_LENGTH } from "../../../qmail/multilog/tai64n.ts";

const NOW = Date.UTC(2026, 10, 24, 12);

const AROUND: Surroundings = {
  home: "/var/qmail",
  me: "mail.example.test",
  queue: null,
  messages: [],
  moreMessages: false,
  connections: new Map(),
  services: null,
  send: null,
  held: new Map(),
  senders: new Map(),
};

/** A snapshot at `NOW` of a log of `lines`, each so many milliseconds before. */
function seen(
  lines: readonly (readonly [ago: number, text: string])[],
  around: Partial<Surroundings> = {},
  service = "qmail-send",
): Snapshot {
  const model = new TopModel(0);
  for (const [ago, text] of lines) model.line(NOW - ago, text, service);
  return snapshot(model, { ...AROUND, ...around }, NOW);
}

test("a known log comes to what an independent count of its lines says", () => {
  const all: { ms: number; text: string }[] = [];
  generate(3000, (text) => {
    for (const line of text.trimEnd().split("\n")) {
      all.push({ ms: parseTai64n(line) ?? Number.NaN, text: line.slice(STAMP_LENGTH + 1) });
    }
  });
  // The generator says always that nothing is under way.
  const lines = all.filter(({ text }) => !text.startsWith("status: "));
  const begun = lines.filter(({ text }) => text.startsWith("starting delivery"));
  const now = (begun[Math.floor(begun.length * 0.7)]?.ms ?? 0) + 1;
  const before = lines.filter(({ ms }) => ms <= now);
  const model = new TopModel(0);
  for (const { ms, text } of before) model.line(ms, text, "qmail-send");
  const shown = snapshot(model, AROUND, now);

  const end = Math.floor(now / 100) * 100;
  const kinds = {
    in: /^info msg/,
    delivered: /: success:/,
    deferred: /: deferral:/,
    failed: /: failure:/,
  };
  for (const [name, pattern] of Object.entries(kinds)) {
    for (const [window, seconds] of [
      ["1s", 1],
      ["1m", 60],
      ["5m", 300],
    ] as const) {
      const from = end - seconds * 1000;
      const count = before.filter(
        ({ ms, text }) => ms >= from && ms < end && pattern.test(text),
      ).length;
      const shownRate = shown.rates[name as "in"][window];
      assert.ok(Math.abs(shownRate - count / seconds) < 1e-9, `${name} ${window}`);
    }
  }

  // Deliveries: begun and not ended; by host what ended in the slices that count.
  const open = new Map<string, { host: string; ms: number }>();
  const hosts = new Map<string, { ok: number; bad: number; took: number; longest: number }>();
  const from = (Math.floor(now / 10_000) - 29) * 10_000;
  for (const { ms, text } of before) {
    const [, begun, channel, host] =
      /^starting delivery (\d+): msg \d+ to (\w+) .*@(.*)$/.exec(text) ?? [];
    if (begun) open.set(begun, { host: channel === "local" ? "(local)" : String(host), ms });
    const [, done, outcome] = /^delivery (\d+): (\w+)/.exec(text) ?? [];
    if (!done) continue;
    const delivery = open.get(done);
    open.delete(done);
    if (!delivery || ms < from) continue;
    const sums = hosts.get(delivery.host) ?? { ok: 0, bad: 0, took: 0, longest: 0 };
    if (outcome === "success") sums.ok++;
    else sums.bad++;
    sums.took += ms - delivery.ms;
    sums.longest = Math.max(sums.longest, ms - delivery.ms);
    hosts.set(delivery.host, sums);
  }
  assert.ok(hosts.size > 10 && open.size > 0);
  assert.deepEqual(
    shown.underWay.map(({ delivery }) => String(delivery)).sort(),
    [...open.keys()].sort(),
  );
  const ended = shown.destinations.filter((row) => row.delivered + row.deferred + row.failed > 0);
  assert.equal(ended.length, hosts.size);
  for (const [host, sums] of hosts) {
    const row = ended.find(({ name }) => name === host);
    assert.equal(row?.delivered, sums.ok);
    assert.equal((row?.deferred ?? 0) + (row?.failed ?? 0), sums.bad);
    const waiting = [...open.values()]
      .filter((each) => each.host === host)
      .map(({ ms }) => now - ms);
    const took = waiting.reduce((sum, each) => sum + each, sums.took);
    assert.equal(row?.mean, took / (sums.ok + sums.bad + waiting.length));
    assert.equal(row?.longest, Math.max(sums.longest, ...waiting));
  }
});

test("deliveries under way are those that have not ended, with the sender where it is known", () => {
  const { underWay } = seen([
    [9000, "info msg 7: bytes 400 from <ann@a.test> qp 4711 uid 0"],
    [8000, "starting delivery 1: msg 7 to local bob@here.test"],
    [7000, "starting delivery 2: msg 8 to remote carol@there.test"],
    [6000, "delivery 1: success: did_1+0+0/"],
    [5000, "starting delivery 3: msg 7 to remote dave@there.test"],
  ]);
  assert.deepEqual(
    underWay.map(({ delivery, id, channel, recipient, sender, age }) => [
      ...[delivery, id, channel, recipient, sender, age],
    ]),
    [
      [2, "8", "remote", "carol@there.test", null, 7000],
      [3, "7", "remote", "dave@there.test", "ann@a.test", 5000],
    ],
  );
});

test("what qmail-send left when it ended, was killed, or says it has none of, is not under way", () => {
  const begun = [9000, "starting delivery 5: msg 8 to remote carol@there.test"] as const;
  const first = [8500, "starting delivery 1: msg 9 to local bob@here.test"] as const;
  const ids = (more: readonly (readonly [number, string])[]) =>
    seen([first, begun, ...more]).underWay.map(({ id }) => id);
  assert.deepEqual(ids([]), ["9", "8"]);
  assert.deepEqual(ids([[8000, "status: exiting"]]), []);
  assert.deepEqual(ids([[8000, "starting delivery 1: msg 3 to local x@here.test"]]), ["3"]);
  assert.deepEqual(ids([[8000, "status: local 0/10 remote 1/20"]]), ["8"]);
  assert.deepEqual(ids([[8000, "status: local 0/10 remote 0/20"]]), []);
});

test("errors are grouped by what they say, not by whom it was about", () => {
  const deferral = (n: number) => [
    [9000 - n, `starting delivery ${n}: msg ${n} to remote u${n}@there.test`] as const,
    [
      8000 - n,
      `delivery ${n}: deferral: Connected_to_192.0.2.${n}_but_connection_died._(#4.4.2)/`,
    ] as const,
  ];
  const { errors } = seen([
    ...[1, 2, 3].flatMap(deferral),
    [100, "alert: unable to append to bounce message; HELP! sleeping..."],
    [90, "delivery 9: report mangled, will defer"],
  ]);
  const shown = errors.map(({ kind, count, whom, id, example }) => [
    kind,
    count,
    whom,
    id,
    example,
  ]);
  assert.deepEqual(shown, [
    ["deferral", 3, "u3@there.test", "3", "Connected to 192.0.2.3 but connection died. (#4.4.2)"],
    ["alert", 1, "", "", "unable to append to bounce message; HELP! sleeping..."],
    ["deferral", 1, "", "", "report mangled"],
  ]);
});

test("groups keep codes and lose what differs each time", () => {
  const same = [
    ["550 5.1.1 <a@b.test>: no such user", "550 5.1.1 <cc@dd.test>: no such user"],
    ["Connected to 192.0.2.1 but (#4.4.2)", "Connected to 198.51.100.77 but (#4.4.2)"],
    ["451 try later 4bXyz12345 from [2001:db8::1]", "451 try later 9aQrs54321 from [2001:db8::2]"],
  ];
  for (const [a = "", b = ""] of same) assert.equal(groupOf(a), groupOf(b));
  assert.notEqual(groupOf("451 4.7.1 x"), groupOf("550 5.1.1 x"));
  assert.match(groupOf("Sorry. (#4.4.1)"), /#4\.4\.1/);
  assert.equal(readable("Sorry,_no._(#5.1.1)/"), "Sorry, no. (#5.1.1)");
});

test("doors: what they accepted and refused, by client, and how many are connected", () => {
  const { doors, errors } = seen(
    [
      [
        5000,
        "smtpd: 1.1 event=accepted ip=192.0.2.1 helo=x from=<a@b> to=<c@d> rcpts=1 bytes=1 qp=2",
      ],
      [
        4000,
        "smtpd: 1.2 event=refused-recipient ip=192.0.2.2 from=<a@b> to=<c@d> reply=553 sorry,%20no",
      ],
      [3000, "smtpd: 1.2 event=login ip=192.0.2.2 user=joe mechanism=PLAIN verdict=refused"],
      [2000, "smtpd: 1.3 event=denied ip=192.0.2.3 rule=192.0.2.3"],
      [1000, "smtpd: 1.1 event=ended ip=192.0.2.1 why=quit messages=1 seconds=0.012"],
    ],
    {
      connections: new Map([
        [
          "submission",
          {
            open: 3,
            clients: new Map([
              ["192.0.2.2", 2],
              ["192.0.2.9", 1],
            ]),
          },
        ],
      ]),
    },
    "qmail-submission",
  );
  const [door] = doors;
  assert.equal(doors.length, 1);
  const { name, open, accepted, refused, denied, logins, badLogins, ended } = door ?? ({} as never);
  assert.deepEqual(
    { name, open, accepted, refused, denied, logins, badLogins, ended },
    {
      name: "submission",
      open: 3,
      accepted: 1,
      refused: 1,
      denied: 1,
      logins: 0,
      badLogins: 1,
      ended: 1,
    },
  );
  const clients = door?.clients.map(({ ip, open: n, refused: no }) => [ip, n, no]);
  assert.deepEqual(clients?.sort(), [
    ["192.0.2.1", 0, 0],
    ["192.0.2.2", 2, 1],
    ["192.0.2.3", 0, 0],
    ["192.0.2.9", 1, 0],
  ]);
  assert.deepEqual(
    errors.map(({ kind, example }) => [kind, example]),
    [
      ["refusal", "submission: 553 sorry, no"],
      ["refusal", "submission: login failed"],
      ["refusal", "submission: denied"],
    ],
  );
});

test("a C qmail's doors: tcpserver says how many are connected", () => {
  const { doors } = seen(
    [
      [3000, "tcpserver: status: 2/40"],
      [2000, "tcpserver: deny 4711 :192.0.2.7:25 :192.0.2.9::1234"],
    ],
    {},
    "smtpd",
  );
  assert.deepEqual(
    doors.map(({ name, open, limit, denied }) => [name, open, limit, denied]),
    [["smtpd", 2, 40, 1]],
  );
});

test("a flood of messages, deliveries and names does not fill the memory", () => {
  const model = new TopModel(0);
  for (let n = 1; n <= 60_000; n++) {
    model.line(NOW, `info msg ${n}: bytes 1 from <a${n}@x.test> qp 1 uid 1`, "qmail-send");
    model.line(NOW, `starting delivery ${n}: msg ${n} to remote b@h${n}.test`, "qmail-send");
    if (n % 3 === 0)
      model.line(NOW, `delivery ${n}: deferral: no_${n % 7}_${"x".repeat(50)}/`, "qmail-send");
  }
  assert.ok(model.messages.size <= 20_000);
  assert.ok(model.underWay.size <= 20_000);
  assert.ok(model.troubles.size <= 20_000);
  assert.ok(snapshot(model, AROUND, NOW).destinations.length <= 25_000);
});
