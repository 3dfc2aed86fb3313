/** Whose a lock file is: boots, processes, hosts and clocks in turn. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  isAhead,
  isNobodys,
  type LockFile,
  lockText,
  type Machine,
} from "../../../qmail/files/lock-file.ts";

const NOW = 1_800_000_000_000;
const MINUTE = 60_000;

/** A machine booted an hour ago, on which process 100 has run since tick 5000, and 200 tells nobody of itself. */
function machine(fields: Partial<Machine> = {}): Machine {
  return {
    host: "here.test",
    boot: "boot-2",
    now: () => NOW,
    bootedAt: () => NOW - 60 * MINUTE,
    started: (pid) => (pid === 100 ? 5000 : pid === 200 ? "hidden" : "dead"),
    alone: () => true,
    ...fields,
  };
}

function file(text: string, age: number): LockFile {
  return { path: "/home/joe/Mailbox.lock", text, mtimeMs: NOW - age };
}

const OURS = "0\nhere.test\n100\n5000\nboot-2\n";

/** What stands in it, its age, whether it is nobody's, and on what a machine if not on the one above. */
const CASES: readonly (readonly [string, string, number, boolean, Partial<Machine>?])[] = [
  ["ours, alive", OURS, 0, false],
  ["ours, alive, of five minutes ago", OURS, 6 * MINUTE, false],
  ["ours, alive, after the clock was set ahead", OURS, 40 * 60 * MINUTE, false],
  ["ours, alive, after the clock was set back", OURS, -40 * 60 * MINUTE, false],
  ["ours of a dead process", "0\nhere.test\n99\n5000\nboot-2\n", 0, true],
  ["ours of a process whose pid another has now", "0\nhere.test\n100\n4999\nboot-2\n", 0, true],
  ["ours of another boot", "0\nhere.test\n100\n5000\nboot-1\n", 0, true],
  ["the same with a time ahead", "0\nhere.test\n100\n5000\nboot-1\n", -60 * MINUTE, true],
  [
    "ours of another boot on shared files",
    "0\nhere.test\n100\n5000\nboot-1\n",
    0,
    true,
    { alone: () => false },
  ],
  ["ours where nobody knows boots", "0\nhere.test\n100\n5000\n\n", 0, false, { boot: "" }],
  ["ours of a process that is hidden", "0\nhere.test\n200\n5000\nboot-2\n", 0, false],
  ["the same, of five minutes ago", "0\nhere.test\n200\n5000\nboot-2\n", 6 * MINUTE, true],
  ["ours of an older version, alive", "0\nhere.test\n100\n", 0, false],
  ["ours of an older version, dead", "0\nhere.test\n99\n", 0, true],
  [
    "ours of an older version, before the boot",
    "0\nhere.test\n100\n",
    4 * MINUTE,
    true,
    { bootedAt: () => NOW - MINUTE },
  ],
  ["ours of another host", "0\nelsewhere.test\n99\n5000\nboot-1\n", 0, false],
  ["empty", "", 0, false],
  ["empty, of five minutes ago", "", 5 * MINUTE, true],
  ["empty, before the boot", "", 2 * MINUTE, true, { bootedAt: () => NOW - MINUTE }],
  ["zeros, before the boot", "\0".repeat(4096), 2 * MINUTE, true, { bootedAt: () => NOW - MINUTE }],
  [
    "empty, before the boot, on shared files",
    "",
    2 * MINUTE,
    false,
    { bootedAt: () => NOW - MINUTE, alone: () => false },
  ],
  ["empty, ahead of the clock", "", -60 * MINUTE, false],
  ["another program's 0", "0\n", 4 * MINUTE, false],
  [
    "another program's 0 before the boot",
    "0\n",
    4 * MINUTE,
    true,
    { bootedAt: () => NOW - MINUTE },
  ],
  ["another program's, alive", "100\n", 0, false],
  ["another program's, dead", "99\n", 0, true],
  ["another program's, dead, without newline", "99", 0, true],
  ["another program's, dead here, on shared files", "99\n", 0, false, { alone: () => false }],
  ["Dovecot's, dead", "99:here.test", 0, true],
  ["Dovecot's, dead here, of another host", "99:elsewhere.test", 0, false],
  ["nonsense", "0\nhere.test\n-1\n", 0, false],
];

for (const [name, text, age, expected, fields] of CASES) {
  test(`${name}: ${expected ? "nobody's" : "somebody's"}`, () => {
    assert.equal(isNobodys(file(text, age), machine(fields)), expected);
  });
}

test("a time ahead of the clock is seen, but not what the clocks of two hosts may differ by", () => {
  assert.equal(isAhead(file("", -2 * MINUTE), machine()), true);
  assert.equal(isAhead(file("", -MINUTE / 2), machine()), false);
  assert.equal(isAhead(file("", MINUTE), machine()), false);
});

test("what we write is somebody's while we live, and nobody's afterwards and after a boot, by any clock", () => {
  const text = lockText(machine(), 100);
  assert.equal(text, OURS);
  fc.assert(
    fc.property(
      fc.integer({ min: -1e10, max: 1e10 }),
      fc.integer({ min: 0, max: 1e10 }),
      (age, up) => {
        const bootedAt = () => NOW - up;
        assert.equal(isNobodys(file(text, age), machine({ bootedAt })), false);
        assert.equal(
          isNobodys(file(text, age), machine({ bootedAt, started: () => "dead" })),
          true,
        );
        assert.equal(isNobodys(file(text, age), machine({ bootedAt, boot: "boot-3" })), true);
      },
    ),
  );
});

test("no text is taken for ours or a pid but what we or others write; nothing young is nobody's by nonsense", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
      fc.pre(!/^\s*\d/.test(text));
      assert.equal(isNobodys(file(text, 0), machine()), false);
    }),
  );
});
