/** The launcher where something is missing: Node is too old (which the one here only pretends to be), or a clone is bare. */

import assert from "node:assert/strict";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
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

/** What a clone has before `npm ci`. */
function bareClone(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-clone-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const root = dirname(dirname(LAUNCHER));
  for (const name of ["cli", "commands", "qmail", "package.json"]) {
    cpSync(join(root, name), join(directory, name), { recursive: true });
  }
  return directory;
}

for (const args of [["help"], ["status"], ["queue", "list"], []]) {
  test(`qmailctl ${args.join(" ")} without dependencies says so, and what to do`, async (t) => {
    const clone = bareClone(t);
    const result = await run(process.execPath, [join(clone, "cli/qmailctl.js"), ...args]);
    const says =
      /^qmailctl: its dependencies are not all there \("[a-z-]+" is missing\): run npm ci in (.*)\/\n$/;
    assert.equal(says.exec(result.stderr)?.[1], clone, result.stderr);
    assert.equal(result.code, 111);
  });
}

test("npm start that cannot install says what it does, and what is missing", async (t) => {
  const clone = bareClone(t);
  writeFileSync(
    join(clone, "npm"),
    '#!/bin/sh\necho "$*" >args\necho "npm error network" >&2\nexit 1\n',
  );
  chmodSync(join(clone, "npm"), 0o755);
  const options = { env: { ...process.env, PATH: `${clone}:${process.env.PATH}` } };
  const start = [join(clone, "cli/with-dependencies.js"), "cli/qmailctl.js", "try"];
  const { code, stderr } = await run(process.execPath, start, options);
  assert.equal(code, 111);
  const lines = stderr.split("\n");
  assert.match(lines[0] ?? "", /^Installing the dependencies with npm ci /);
  assert.equal(lines[1], "npm error network");
  assert.match(
    lines[2] ?? "",
    /^qmailctl: the dependencies are missing, and cannot be installed: npm ci has failed/,
  );
  assert.match(lines[3] ?? "", /npm registry/);
  // By itself it would try for minutes, in silence.
  assert.match(readFileSync(join(clone, "args"), "utf8"), /^ci .*--fetch-retries=1 /);
});

test("npm start without npm", async (t) => {
  const clone = bareClone(t);
  const start = [join(clone, "cli/with-dependencies.js"), "x"];
  const { code, stderr } = await run(process.execPath, start, { env: { PATH: clone } });
  assert.equal(code, 111);
  assert.match(stderr, /cannot be installed: npm cannot be run: spawn npm ENOENT\n/);
});
