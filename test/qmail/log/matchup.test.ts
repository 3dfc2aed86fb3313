import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Matchup } from "../../../qmail/log/matchup.ts";
import { programPath } from "../../../qmail/programs.ts";

const LOG = [
  "@4000000067434b8a0ee6b280 new msg 5",
  "100.5 info msg 5: bytes 300 from <Ann@Example.com> qp 77 uid 1000",
  "101.0 starting delivery 1: msg 5 to local Bob@example.com",
  "101.0 starting delivery 2: msg 5 to remote c@d.example",
  "101.0 status: local 1/10 remote 1/20",
  "102.5 delivery 1: success: did_1+0+0/",
  "103.0 delivery 2: deferral: no_luck/",
  "104.0 starting delivery 3: msg 5 to remote c@d.example",
  "105.0 delivery 3: failure: no_such_user/",
  "105.5 end msg 5",
];
const MATCHED = [
  "d k 100.5 101.0 102.5 300 <ann@example.com> local.bob@example.com 77 1000 did_1+0+0/",
  "d z 100.5 101.0 103.0 300 <ann@example.com> remote.c@d.example 77 1000 no_luck/",
  "d d 100.5 104.0 105.0 300 <ann@example.com> remote.c@d.example 77 1000 no_such_user/",
  "m 100.5 105.5 300 1 1 1 <ann@example.com> 77 1000",
];

function match(matchup: Matchup, lines: readonly string[]): string[] {
  return lines
    .map((line) => matchup.line(line))
    .join("")
    .split("\n")
    .slice(0, -1);
}

test("deliveries and messages on a line each", () => {
  assert.deepEqual(match(new Matchup(), LOG), MATCHED);
});

test("a log cut anywhere, what is pending read first, comes to the same", () => {
  for (let cut = 0; cut <= LOG.length; cut++) {
    const first = new Matchup();
    const head = match(first, LOG.slice(0, cut));
    const pending = first.pending().split("\n").slice(0, -1);
    assert.deepEqual(
      [...head, ...match(new Matchup(), [...pending, ...LOG.slice(cut)])],
      MATCHED,
      `cut at ${cut}`,
    );
  }
});

test("a delivery of a message that began before the log", () => {
  const lines = [
    "5.1 starting delivery 9: msg 4 to local a",
    "5.2 delivery 9: report mangled, will defer",
  ];
  assert.deepEqual(match(new Matchup(), lines), ["d z 5.1 5.1 5.2 0 ? local.a ? ? report_mangled"]);
});

test("TAI64N becomes seconds; warnings pass; what is unknown is marked", () => {
  const tai = [
    "@4000000067434b8a0ee6b280 info msg 5: bytes 1 from <> qp 2 uid 3",
    "@4000000067434b8a0ee6b280 end msg 5",
  ];
  assert.deepEqual(match(new Matchup(), tai), [
    "m 1732463488.250000000 1732463488.250000000 1 0 0 0 <> 2 3",
  ]);
  assert.deepEqual(match(new Matchup(), ["1.0 warning: x", "1.0 hm"]), [
    "1.0 warning: x",
    "? 1.0 hm",
  ]);
});

test("the program: standard input, output, descriptor 5", () => {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-matchup-"));
  try {
    const fd = openSync(join(directory, "pending"), "w");
    const result = spawnSync(process.execPath, [programPath("log/matchup")], {
      input: `${LOG.slice(0, 3).join("\n")}\n`,
      stdio: ["pipe", "pipe", "pipe", "ignore", "ignore", fd],
    });
    assert.deepEqual([result.status, String(result.stdout), String(result.stderr)], [0, "", ""]);
    assert.equal(
      readFileSync(join(directory, "pending"), "utf8"),
      "100.5 info msg 5: bytes 300 from <ann@example.com> qp 77 uid 1000\n100.5 extra 5 0 0 0\n" +
        "101.0 starting delivery 1: msg 5 to local bob@example.com\n",
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});
