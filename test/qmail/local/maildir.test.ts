/** A delivery to a Maildir that is killed: whole in new/, or not there. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, readFileSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { escapeHost } from "../../../qmail/local/maildir.ts";
import { programPath } from "../../../qmail/programs.ts";
import { Home } from "./_home.ts";

const BODY = `Subject: long\n\n${"0123456789abcde\n".repeat(500_000)}`;

/** Runs qmail-local on `BODY` and kills it `after` milliseconds from when its file appeared in tmp/. */
async function killed(home: Home, after: number): Promise<boolean> {
  const fd = openSync(join(home.path, "message"), "r");
  const fields = ["joe", home.path, "joe", "", "", "h.test", "a@b", "./in/"];
  const begun = new Promise<void>((resolve) => {
    const watcher = watch(join(home.path, "in/tmp"), () => {
      watcher.close();
      resolve();
    });
  });
  const child = spawn(process.execPath, [programPath("local/qmail-local"), ...fields], {
    stdio: [fd, "ignore", "inherit"],
  });
  closeSync(fd);
  const ended = once(child, "close");
  await Promise.race([begun, ended]);
  const timer = setTimeout(() => child.kill("SIGKILL"), after);
  const [, signal] = await ended;
  clearTimeout(timer);
  return signal === "SIGKILL";
}

test("a delivery killed at any moment leaves nothing partial in new/", async () => {
  using home = new Home();
  home.maildir("in");
  writeFileSync(join(home.path, "message"), BODY);
  const whole = `Return-Path: <a@b>\nDelivered-To: joe@h.test\n${BODY}`;
  let kills = 0;
  for (let after = 0; after < 24; after += 2) {
    if (await killed(home, after)) kills++;
    for (const text of home.new("in")) assert.ok(text === whole, "a partial message in new/");
  }
  assert.ok(kills > 0, "none was killed in time");
});

test("names: no two alike, and no colon or slash", async () => {
  using home = new Home();
  home.maildir("in");
  await Promise.all(Array.from({ length: 50 }, () => home.deliver({ aliasempty: "./in/" })));
  const names = readdirSync(join(home.path, "in/new"));
  assert.equal(names.length, 50);
  for (const name of names) assert.match(name, /^\d+\.M\d+P\d+Q\d+V[0-9a-f]+I[0-9a-f]+\.[^:/]+$/);
  assert.equal(escapeHost("a/b:c"), "a\\057b\\072c");
});

test("bytes that are no UTF-8, in names, commands and variables", async () => {
  using home = new Home();
  home.maildir("in");
  home.write("list", "");
  const bytes = (text: string) => Buffer.from(text).toString("latin1");
  writeFileSync(
    Buffer.from(`${home.path}/.qmail-j\xf6rg`, "latin1"),
    Buffer.from(
      `|printf '%s' "$LOCAL|$SENDER|\xe9|" >"o\xfct"; printf '%s' "$RPLINE" >>"o\xfct"\n`,
      "latin1",
    ),
  );
  const sender = bytes("ü@x");
  assert.equal((await home.deliver({ dash: "-", ext: "j\xf6rg", sender })).status, "K");
  const out = readFileSync(Buffer.from(`${home.path}/o\xfct`, "latin1"), "latin1");
  assert.equal(out, `joe-j\xf6rg|${sender}|\xe9|Return-Path: <"${sender.slice(0, 2)}"@x>\n`);
});
