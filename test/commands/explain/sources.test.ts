import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { shellWord } from "../../../commands/explain/shell-word.ts";
import { assignSource, defaultDelivery } from "../../../commands/explain/sources.ts";

/** What stands behind `qmail-start` → the word, as the shell has it too. */
const WORDS = [
  "./Mailbox splogger qmail",
  "'|preline procmail' splogger qmail",
  "'|dot-forward .forward\n./Mailbox' splogger",
  '"./My Mail/" x',
  '"a\\"b\\\\c\\$d"',
  "a\\ b'c d'\"e f\"g",
  "\\\n  ./Maildir/",
  "''",
];

for (const source of WORDS) {
  test(`shellWord(${JSON.stringify(source)}) is the shell's`, () => {
    const shell = spawnSync("/bin/sh", ["-c", `printf %s/ ${source}`], { encoding: "utf8" });
    const word = shellWord(` ${source}`);
    assert.ok(typeof word === "object");
    assert.ok(shell.stdout.startsWith(`${word.text}/`), shell.stdout);
  });
}

test("what only a shell can know is unknown, and nothing is none", () => {
  for (const source of ['"$DELIVERY"', "$DELIVERY", "`cat x`", '"`cat x`"', "'open", '"open']) {
    assert.equal(shellWord(source), "unknown");
  }
  for (const source of ["", "  ", "\n", ";", " &"]) assert.equal(shellWord(source), "none");
});

test("the default delivery of every boot script is found", () => {
  const directory = new URL("../../../templates/boot/", import.meta.url);
  const scripts = readdirSync(directory);
  assert.equal(scripts.length, 10);
  for (const name of scripts) {
    const script = readFileSync(new URL(name, directory), "utf8");
    const found = defaultDelivery(script);
    assert.ok(found?.line, name);
    const first = found.text.split("\n")[0] as string;
    assert.ok(script.split("\n")[found.line - 1]?.includes(first), name);
  }
});

test("an rc of another kind", () => {
  assert.deepEqual(defaultDelivery("exec qmail-start\n"), { text: "./Mailbox", line: null });
  assert.deepEqual(defaultDelivery("#qmail-start x\n/var/qmail/bin/qmail-start y z\n"), {
    text: "y",
    line: 2,
  });
  assert.equal(defaultDelivery('qmail-start "$(cat control/defaultdelivery)"\n'), null);
  assert.equal(defaultDelivery("echo nothing\n"), null);
  assert.equal(defaultDelivery(null), null);
});

test("the line of users/assign that decided", () => {
  const assign = "+:a:1:1:/a:-::\n=Joe:j:1:1:/j:::\n+joe-:j:1:1:/j:-::\n.\n";
  assert.equal(assignSource(assign, "=joe"), "users/assign:2");
  assert.equal(assignSource(assign, "+joe-"), "users/assign:3");
  assert.equal(assignSource(assign, "+"), "users/assign:1");
  assert.equal(assignSource(assign, "=jane"), null);
});
