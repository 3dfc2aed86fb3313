/** The launcher on a Node that is too old, which the one here only pretends to be. */

import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { LAUNCHER, run } from "../site/_site.ts";

const OLD = [
  "--import",
  "data:text/javascript,Object.defineProperty(process.versions, 'node', { value: '20.11.1' })",
];

test("it hands over to the Node among the dependencies, with arguments and exit code", async () => {
  const version = await run(process.execPath, [...OLD, LAUNCHER, "--version"]);
  assert.equal(version.code, 0, version.stderr);
  assert.match(version.stdout, /^qmailctl\/\S+ \S+ node-v2[4-9]/);
  const wrong = await run(process.execPath, [...OLD, LAUNCHER, "frobnicate"]);
  assert.equal(wrong.code, 100);
});

test("without one it says in one line what is needed", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-launcher-"));
  t.after(() => rmSync(directory, { recursive: true }));
  mkdirSync(join(directory, "cli"));
  writeFileSync(join(directory, "package.json"), '{ "type": "module" }');
  const launcher = join(directory, "cli/qmailctl.js");
  copyFileSync(LAUNCHER, launcher);
  const { code, stdout, stderr } = await run(process.execPath, [...OLD, launcher, "status"]);
  assert.equal(code, 100);
  assert.equal(stdout, "");
  assert.match(stderr, /^qmailctl: needs Node 22\.19 or newer, this is 20\.11\.1: install .*\n$/);
});
