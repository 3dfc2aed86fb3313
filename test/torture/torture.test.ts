/**
 * The harness itself: a system that is as it should be passes, and every sync that is broken on purpose, every fix that
 * is taken out, is found.
 */

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, test } from "node:test";
import type { Filesystem } from "./disk.ts";
import { killHarness } from "./kill.ts";
import { mboxEntries } from "./law.ts";
import { MUTATIONS } from "./mutations.ts";
import { describe, newOrderTotals, quickOrders, roundsWithout } from "./order-run.ts";
import type { Fault } from "./plan.ts";
import { powerCutHarness } from "./powercut.ts";
import { compile } from "./site.ts";

const build = compile();
after(() => build[Symbol.dispose]());

/** Ends of the sample only: enough to find what is not synced at all. */
const SAMPLE = { build, seed: 1, cutMs: 60_000, recoverMs: 60_000, trees: 6 };

function removeKept(violations: readonly string[]): void {
  const kept = /kept in (\S+)/.exec(violations.join("\n"))?.[1];
  if (kept) rmSync(kept, { recursive: true, force: true });
}

test("no power cut loses anything, on a filesystem that promises least", async () => {
  const result = await powerCutHarness({ ...SAMPLE, filesystem: "strict" });
  assert.deepEqual(result.violations, []);
  assert.ok(result.states > 200 && result.moments > 200);
});

test("with every sync in its place, of what is durable at any moment nothing is lost", async () => {
  const result = await powerCutHarness({
    ...SAMPLE,
    trees: 1,
    quietMs: 1500,
    filesystem: "journal",
  });
  assert.equal(result.lost, 0);
  assert.ok(result.states > 50);
});

/** A sync that is broken → on which filesystem, which path, how. */
const BROKEN: Readonly<Record<string, [Filesystem, Fault]>> = {
  "todo/ is not synced": ["journal", { path: "/queue/todo$", what: "skip" }],
  "mess is not synced": ["journal", { path: "/queue/(pid|mess)/.*[^/]{3}$", what: "skip" }],
  "intd is not synced": ["journal", { path: "/queue/intd/", what: "skip" }],
  "mess/N is not synced where it must be": ["strict", { path: "/mess/\\d{1,2}$", what: "skip" }],
  "info is not synced": ["journal", { path: "/queue/info/", what: "skip" }],
  "local is not synced": ["journal", { path: "/queue/local/", what: "skip" }],
  "bounce is not synced": ["journal", { path: "/queue/bounce", what: "skip" }],
  "the file in a Maildir is not synced": ["journal", { path: "/Maildir/tmp/", what: "skip" }],
  "new/ of a Maildir is not synced": ["strict", { path: "/Maildir/new$", what: "skip" }],
  "an mbox is not synced": ["journal", { path: "/Mailbox$", what: "skip" }],
  "the file in a Maildir is synced after its queue files went": [
    "journal",
    { path: "/Maildir/tmp/", what: "late" },
  ],
  "todo/ID is removed before info and local are synced": [
    "journal",
    { path: "/queue/(info|local)/", what: "late" },
  ],
};

test("what is broken is found", { concurrency: 3 }, async (t) => {
  const tests = Object.entries(BROKEN).map(([name, [filesystem, fault]]) =>
    t.test(name, async () => {
      // What comes late is missing for a moment only: of that more is looked at.
      const trees = fault.what === "late" ? SAMPLE.trees : 1;
      const options = { ...SAMPLE, trees, quietMs: 1500 };
      const result = await powerCutHarness({ ...options, filesystem, faults: [fault] });
      removeKept(result.violations);
      assert.ok(result.lost > 0, "nothing was lost");
    }),
  );
  await Promise.all(tests);
});

test("found by killing: success is said before the message is the queue's", async () => {
  const until = performance.now() + 60_000;
  const result = await killHarness({ build, seed: 1, until, sites: 1, lateLinks: true, say() {} });
  removeKept(result.violations);
  assert.notDeepEqual(result.violations, []);
});

test("killed here and there, nothing is lost", async () => {
  // A few seconds, unless recoveries have to wait for the lock of an mbox.
  const until = performance.now() + 240_000;
  const result = await killHarness({ build, seed: 2, until, sites: 1, most: 6, say() {} });
  assert.deepEqual(result.violations, []);
  assert.ok(result.crashes >= 6);
});

const ORDERS = { build, seed: 1, settings: { flood: null, own: {}, without: null }, say() {} };

test("two things under way at once: nothing is lost, and nobody gets what was not for him", async () => {
  const totals = newOrderTotals();
  await quickOrders(ORDERS, totals);
  assert.deepEqual(totals.violations, []);
  assert.ok(totals.accepted > 300 && totals.arrived > 1000, describe(totals));
});

/** Each takes up to a minute: so many of them, or with QMAILCTL_TEST_LONG=1 all. */
const TAKEN_OUT = process.env.QMAILCTL_TEST_LONG ? Number.POSITIVE_INFINITY : 3;

test("a fix that is taken out is missed", async (t) => {
  for (const name of Object.keys(MUTATIONS).slice(0, TAKEN_OUT)) {
    await t.test(name, async () => {
      const result = await roundsWithout(ORDERS, name);
      removeKept(result.violations);
      assert.notDeepEqual(result.violations, []);
    });
  }
});

test("a From_ line counts behind an empty line only", () => {
  assert.deepEqual(mboxEntries("From a\nb\n\nFrom c\nd\nFrom e\n\n"), ["b\n", "d\nFrom e\n"]);
});
