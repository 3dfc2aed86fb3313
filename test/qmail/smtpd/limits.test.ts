/** Limits, as control files and the config say them. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { limitsControls, limitsSchema } from "../../../commands/limits-config.ts";
import { Control } from "../../../qmail/control/control.ts";
import { hurried, readLimits } from "../../../qmail/smtpd/limits.ts";
import { Home } from "./_world.ts";

test("readLimits(): without files what C qmail does where it does anything, and with them what they say", () => {
  using home = new Home();
  const control = new Control(home.path);
  const bare = readLimits(control, { env: {}, databytes: 0 });
  assert.deepEqual(bare, {
    ...{ commandMs: 1_200_000, sessionMs: 3_600_000, minRate: 500, maxErrors: 20, slowErrors: 10 },
    ...{ maxJunk: 100, maxRcpt: 1000, minFree: 16 << 20, minInodes: 1000 },
  });
  assert.equal(readLimits(control, { env: {}, databytes: 101 }).minFree, 152);
  assert.equal(readLimits(control, { env: { MAXRCPT: "7x" }, databytes: 0 }).maxRcpt, 7);
  for (const name of ["timeoutsmtpd", "timeoutsession", "minrate", "maxerrors", "slowerrors"]) {
    home.control(name, "0\n");
  }
  for (const name of ["maxjunk", "maxrcpt", "minfree", "mininodes"]) home.control(name, "0\n");
  assert.deepEqual(readLimits(control, { env: {}, databytes: 5 }), {
    ...{ commandMs: 1000, sessionMs: 1000, minRate: 1, maxErrors: 1, slowErrors: 0 },
    ...{ maxJunk: 0, maxRcpt: 0, minFree: 0, minInodes: 0 },
  });
  home.control("timeoutsmtpd", `${"9".repeat(12)}\n`);
  assert.ok(readLimits(control, { env: {}, databytes: 0 }).commandMs < 2 ** 31);
});

test("hurried(): never more patience than there was", () => {
  using home = new Home({ timeoutsmtpd: "5\n", maxjunk: "3\n" });
  const limits = readLimits(new Control(home.path), { env: {}, databytes: 0 });
  const few = hurried(limits);
  assert.deepEqual(
    [few.commandMs, few.maxJunk, few.maxErrors, few.slowErrors, few.minRate],
    [5000, 3, 1, 0, 500],
  );
  const long = hurried({ ...limits, commandMs: 300_000, maxJunk: 100 });
  assert.deepEqual([long.commandMs, long.maxJunk], [10_000, 10]);
});

test("the config writes what is too generous in C qmail, and what it is told", () => {
  assert.deepEqual(limitsControls(), { databytes: ["52428800"], timeoutsmtpd: ["300"] });
  assert.deepEqual(limitsControls({ messageBytes: 0, recipients: 5, freeInodes: 0 }), {
    databytes: ["0"],
    timeoutsmtpd: ["300"],
    maxrcpt: ["5"],
    mininodes: ["0"],
  });
  // Every field is checked, and has a file that is one's own.
  const fields = Object.keys(limitsSchema.shape);
  const files = limitsControls(Object.fromEntries(fields.map((field) => [field, 1000])));
  assert.equal(Object.keys(files).length, fields.length);
  for (const wrong of [
    { errors: 0 },
    { pop3IdleSeconds: 599 },
    { recipients: -1 },
    { junk: 1.5 },
  ]) {
    assert.equal(limitsSchema.safeParse(wrong).success, false, JSON.stringify(wrong));
  }
});
