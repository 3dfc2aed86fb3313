/** Making accounts where the system has one program for it or another: fake programs in PATH write down how they were called. */

import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { groupCommands, runFirst, userCommands } from "../../../commands/install/accounts.ts";
import type { CommandError } from "../../../commands/output.ts";

interface System {
  /** What the fake programs were called with. */
  calls(): string;
}

/** For the time of a test PATH has nothing but the fake `programs`, name to shell lines. */
function system(t: { after(fn: () => void): void }, programs: Record<string, string>): System {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-accounts-"));
  const file = join(directory, "calls");
  for (const [name, lines] of Object.entries(programs)) {
    const path = join(directory, name);
    writeFileSync(path, `#!/bin/sh\necho "${name} $*" >>${file}\n${lines}\n`);
    chmodSync(path, 0o755);
  }
  const before = process.env.PATH;
  process.env.PATH = directory;
  t.after(() => {
    process.env.PATH = before;
    rmSync(directory, { recursive: true });
  });
  return { calls: () => (existsSync(file) ? readFileSync(file, "utf8") : "") };
}

const USER = userCommands("alias", { group: "nofiles", home: "/var/qmail/alias" });

test("Linux: useradd, also where there is an adduser", async (t) => {
  const { calls } = system(t, { useradd: "", groupadd: "", adduser: "", addgroup: "" });
  await runFirst("make it", groupCommands("nofiles"));
  await runFirst("make it", USER);
  assert.equal(
    calls(),
    "groupadd -r nofiles\nuseradd -r -M -N -g nofiles -d /var/qmail/alias -s /bin/false alias\n",
  );
});

test("BusyBox: adduser and addgroup", async (t) => {
  const { calls } = system(t, { adduser: "", addgroup: "" });
  await runFirst("make it", groupCommands("nofiles"));
  await runFirst("make it", USER);
  assert.equal(
    calls(),
    "addgroup -S nofiles\nadduser -S -D -H -h /var/qmail/alias -s /bin/false -G nofiles alias\n",
  );
});

test("FreeBSD: pw", async (t) => {
  const { calls } = system(t, { pw: "" });
  await runFirst("make it", groupCommands("nofiles"));
  await runFirst("make it", USER);
  assert.equal(
    calls(),
    "pw groupadd nofiles\npw useradd alias -g nofiles -d /var/qmail/alias -s /bin/false\n",
  );
});

test("one that fails is not followed by another, and its words are told", async (t) => {
  const { calls } = system(t, {
    useradd: "echo 'useradd: cannot lock /etc/passwd; try again later.' >&2; exit 1",
    adduser: "",
  });
  await assert.rejects(runFirst("make the user alias", USER), {
    message: "cannot make the user alias: useradd: cannot lock /etc/passwd; try again later.",
  });
  assert.doesNotMatch(calls(), /adduser/);
});

test("none of them: all are named, with the ways on", async (t) => {
  system(t, {});
  await assert.rejects(runFirst("make the user alias", USER), (error: CommandError) => {
    assert.equal(
      error.message,
      "cannot make the user alias: this system has none of useradd, adduser, pw",
    );
    assert.equal(error.hints.length, 1);
    return true;
  });
});
