/** Lines that are done are not done again because a later one must wait. */

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { Progress } from "../../../qmail/local/progress.ts";
import { Home } from "./_home.ts";

/** Delivers as qmail-lspawn does: with what the last try has handed on. Returns the reports' first letters and the last text. */
async function tries(home: Home, number: number, between?: (at: number) => void) {
  let progress = "";
  let statuses = "";
  let text = "";
  for (let at = 0; at < number; at++) {
    const report = await home.deliver({ progress });
    progress = report.progress ?? progress;
    statuses += report.status;
    text = report.text;
    between?.(at);
  }
  return { statuses, text };
}

function ran(home: Home): string {
  return readFileSync(join(home.path, "ran"), "latin1");
}

const READY = "|test -e ready || exit 111\n";

function ready(home: Home): void {
  writeFileSync(join(home.path, "ready"), "");
}

test("a Maildir, a program, and a program that must wait three times", async () => {
  using home = new Home();
  home.maildir("in");
  home.write(".qmail", `./in/\n|echo a >>ran\n${READY}|echo b >>ran\n&far@x\n`);
  const { statuses, text } = await tries(home, 4, (at) => at === 2 && ready(home));
  assert.equal(statuses, "ZZZK");
  assert.equal(text, "did 1+1+3\nqp 77\n");
  assert.equal(home.new("in").length, 1);
  assert.equal(ran(home), "a\nb\n");
  assert.equal(home.forwards.length, 1);
});

test("an mbox that is locked after the first line was done", async () => {
  using home = new Home({ patienceMs: 100 });
  home.maildir("in");
  home.write(".qmail", "./in/\n|echo once >>ran; echo 0 >box.lock\n./box\n");
  const { statuses } = await tries(home, 3, (at) => at === 1 && home.remove("box.lock"));
  assert.equal(statuses, "ZZK");
  assert.equal(home.new("in").length, 1);
  assert.equal(ran(home), "once\n");
  assert.equal(readFileSync(join(home.path, "box"), "latin1").match(/^From /gm)?.length, 1);
});

test("a forward that cannot be queued: the lines before and behind it are done once, it is not lost", async () => {
  using home = new Home();
  home.write(".qmail", "|echo a >>ran\n&far@x\n|echo b >>ran\n");
  home.queueCode = 53;
  const { statuses } = await tries(home, 2, () => {
    home.queueCode = 0;
  });
  assert.equal(statuses, "ZK");
  assert.equal(ran(home), "a\nb\n");
  assert.deepEqual(
    home.forwards.map(({ recipients }) => recipients),
    [["far@x"]],
  );
});

test("exit 99 holds at the next try, too: nothing behind it is done, and its forwards leave", async () => {
  using home = new Home({ patienceMs: 100 });
  home.write(".qmail", "&far@x\n|echo a >>ran; exit 99\n|echo b >>ran\n./box\n&not@x\n");
  home.queueCode = 53;
  const { statuses, text } = await tries(home, 2, () => {
    home.queueCode = 0;
    // Nobody looks at it: its line will not be done.
    home.write("box.lock", "0\n");
  });
  assert.equal(statuses, "ZK");
  assert.equal(text, "did 0+1+1\nqp 77\n");
  assert.equal(ran(home), "a\n");
  assert.deepEqual(
    home.forwards.map(({ recipients }) => recipients),
    [["far@x"]],
  );
});

test("a file that was changed begins anew, and so does another file", async () => {
  using home = new Home();
  home.write(".qmail", `|echo a >>ran\n${READY}`);
  await tries(home, 3, (at) => at === 0 && home.write(".qmail", `|echo b >>ran\n${READY}`));
  assert.equal(ran(home), "a\nb\n");
  const { progress = "" } = await home.deliver();
  home.write(".qmail-x", `|echo b >>ran\n${READY}`);
  home.write("ran", "");
  await home.deliver({ dash: "-", ext: "x", progress });
  assert.equal(ran(home), "b\n");
});

test("a failure for good hands nothing on, nor does a first line that must wait", async () => {
  using home = new Home();
  home.write(".qmail", "|true\n|exit 100\n");
  assert.deepEqual(await home.deliver(), { status: "D", text: "" });
  home.write(".qmail", READY);
  assert.deepEqual(await home.deliver(), { status: "Z", text: "" });
});

test("what is handed on is read back, and nothing else is", () => {
  const found = { file: "/home/joe/.qmail", text: "./in/\n" };
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1e6 }),
      fc.boolean(),
      fc.string(),
      (line, last, noise) => {
        const progress = new Progress(found, noise);
        assert.equal(progress.text, "");
        progress.add(line, { last });
        const next = new Progress(found, progress.text);
        assert.equal(next.text, progress.text);
        assert.equal(next.has(line), true);
        assert.equal(next.has(line + 1), false);
        assert.equal(next.ended, last);
        assert.equal(
          new Progress({ ...found, text: `${found.text}#` }, progress.text).has(1),
          false,
        );
        assert.equal(new Progress({ ...found, file: null }, progress.text).has(1), false);
      },
    ),
  );
});
