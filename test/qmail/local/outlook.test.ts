/** What `qmailctl explain` says of an mbox is what a delivery reports. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { outlook } from "../../../qmail/local/outlook.ts";
import { Home } from "./_home.ts";

function foreseen(home: Home) {
  return outlook({
    user: "joe",
    home: home.path,
    local: "joe",
    dash: "",
    ext: "",
    host: "h.test",
    sender: "a@b",
    aliasempty: "./Maildir/",
  }).trouble;
}

/** Makes `x` in the home; the name under which the .qmail file has it. */
const MBOXES: Readonly<Record<string, (at: string) => string>> = {
  "/dev/null": () => "/dev/null",
  "a link to /dev/null": (at) => {
    symlinkSync("/dev/null", at);
    return "./x";
  },
  "a directory": (at) => {
    mkdirSync(at);
    return "./x";
  },
  "a file that is not there yet": () => "./x",
  "a file in no directory": () => "./none/x",
};

for (const [title, make] of Object.entries(MBOXES)) {
  test(`explain and delivery agree on ${title}`, async () => {
    using home = new Home();
    home.write(".qmail", `${make(join(home.path, "x"))}\n`);
    const trouble = foreseen(home);
    const { status, text } = await home.deliver();
    assert.deepEqual(trouble ?? { status: "K", text: "did 1+0+0\n" }, { status, text });
  });
}

test("explain and delivery agree on a socket", async (t) => {
  using home = new Home();
  const server = createServer().listen(join(home.path, "x"));
  t.after(() => server.close());
  home.write(".qmail", "./x\n");
  const { status, text } = await home.deliver();
  assert.deepEqual(foreseen(home), { status, text });
});

test("explain and delivery agree on a FIFO, whose reader does not notice explain", async () => {
  using home = new Home();
  spawnSync("mkfifo", [join(home.path, "x")]);
  home.write(".qmail", "./x\n");
  assert.equal((await home.deliver()).status, foreseen(home)?.status);
  const reader = openSync(join(home.path, "x"), "r+");
  const trouble = foreseen(home);
  const { status, text } = await home.deliver();
  assert.deepEqual(trouble, { status, text });
  assert.equal(status, "Z");
  closeSync(reader);
});
