/** The classic door: qmail-local as others start it, what it prints where, and its exit codes. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync } from "node:fs";
import { test } from "node:test";
import { programPath } from "../../../qmail/programs.ts";
import { Home } from "./_home.ts";

function run(home: Home, args: readonly string[], input = "Subject: x\n\nbody\n") {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [programPath("local/qmail-local"), ...args],
    { input, encoding: "latin1", env: { PATH: process.env.PATH, QMAILHOME: home.path } },
  );
  return [status, stdout, stderr];
}

const USAGE =
  "qmail-local: usage: qmail-local [ -nN ] user homedir local dash ext domain sender aliasempty\n";

test("-n prints what would be done, up to where it would stop", () => {
  using home = new Home();
  const fields = ["joe", home.path, "joe", "", "", "h.test", "a@b", "./Mailbox"];
  assert.deepEqual(run(home, ["-n", ...fields]), [0, "mbox ./Mailbox\ndid 1+0+0\n", ""]);
  home.write(".qmail", "# c\n./in/ \n&a@b\n|cmd x\nc@d\n");
  assert.deepEqual(run(home, ["-n", ...fields]), [
    0,
    "maildir ./in/\nforward a@b\nprogram cmd x\nforward c@d\ndid 1+2+1\n",
    "",
  ]);
  home.write(".qmail", "a@b\n+list\nc@d\n|cmd\n");
  assert.deepEqual(run(home, ["-n", ...fields]), [
    111,
    "forward a@b\nforward c@d\n",
    "Uh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)\n",
  ]);
  home.write(".qmail", "\n");
  const blank = "Uh-oh: first line of .qmail file is blank. (#4.2.1)\n";
  assert.deepEqual(run(home, ["-n", ...fields]), [111, "", blank]);
  home.write(".qmail", "a@b\n");
  chmodSync(home.path, 0o1755);
  assert.deepEqual(run(home, ["-n", ...fields]), [
    0,
    "forward a@b\ndid 0+1+0\n",
    "Warning: home directory is sticky.\n",
  ]);
  assert.deepEqual(run(home, ["-n", "-N", ...fields]), [
    111,
    "",
    "Home directory is sticky: user is editing his .qmail file. (#4.2.1)\n",
  ]);
});

test("what happened goes to standard output, what went wrong to standard error", () => {
  using home = new Home();
  const fields = ["joe", home.path, "joe-x", "-", "x", "h.test", "a@b", "./Mailbox"];
  assert.deepEqual(run(home, fields), [100, "", "Sorry, no mailbox here by that name. (#5.1.1)\n"]);
  home.write(".qmail-x", "|cat; umask\n");
  assert.deepEqual(run(home, fields), [0, "Subject: x\n\nbody\n0077\ndid 0+0+1\n", ""]);
  home.write(".qmail-x", "|echo one\n|echo two; exit 111\n");
  assert.deepEqual(run(home, fields), [111, "", "one\ntwo\n"]);
  home.write(".qmail-x", "./none/\n");
  assert.deepEqual(run(home, fields), [111, "", "Unable to chdir to maildir. (#4.2.1)\n"]);
  assert.deepEqual(run(home, fields.slice(1)), [100, "", USAGE]);
  assert.deepEqual(run(home, ["-x", ...fields]), [100, "", USAGE]);
  assert.deepEqual(run(home, [...fields, "more"]), [100, "", USAGE]);
});
