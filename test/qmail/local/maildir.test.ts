/** A delivery to a Maildir that is killed: whole in new/, or not there. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, readFileSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
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

/**
 * A delivery into `home` during which the clock goes `hours` off and back, and meanwhile one by `other` into the
 * same Maildir, which cleans tmp/.
 */
async function acrossJump(
  t: TestContext,
  home: Home,
  { hours, other }: { hours: number; other: Home },
) {
  const real = Date.now;
  let jump = 0;
  t.mock.method(Date, "now", () => real() + jump);
  const chunks = async function* () {
    yield Buffer.from("Subject: long\n\n");
    jump = hours * 3_600_000;
    const { status } = await other.deliver({ home: home.path, aliasempty: "./in/" });
    assert.equal(status, "K");
    jump = 0;
    yield Buffer.from("its end\n");
  };
  const { status } = await home.deliver({ aliasempty: "./in/", message: { size: 23, chunks } });
  assert.deepEqual(readdirSync(join(home.path, "in/tmp")), []);
  const whole = /^Return-Path: <a@b>\nDelivered-To: joe@h.test\nSubject: long\n\nits end\n$/;
  const texts = home.new("in").filter((text) => text.includes("Subject: long"));
  assert.ok(texts.every((text) => whole.test(text)));
  return { status, arrived: texts.length };
}

for (const hours of [40, -40]) {
  test(`the clock ${hours} h off and back during a delivery: what this process writes it does not clean away`, async (t) => {
    using home = new Home();
    home.maildir("in");
    const result = await acrossJump(t, home, { hours, other: home });
    assert.deepEqual(result, { status: "K", arrived: 1 });
  });

  test(`the clock ${hours} h off, and another process cleans: whole, or not there and to be tried again`, async (t) => {
    using home = new Home();
    using other = new Home();
    home.maildir("in");
    const result = await acrossJump(t, home, { hours, other });
    // Ahead its file is 40 hours old for the other, and goes.
    const expected = hours > 0 ? { status: "Z", arrived: 0 } : { status: "K", arrived: 1 };
    assert.deepEqual(result, expected);
    assert.equal((await home.deliver({ aliasempty: "./in/" })).status, "K");
  });
}

test("how long a delivery takes is not measured by a clock that can be set", async (t) => {
  using home = new Home();
  home.maildir("in");
  const real = Date.now;
  const chunks = async function* () {
    yield Buffer.from("Subject: long\n\n");
    t.mock.method(Date, "now", () => real() + 40 * 3_600_000);
    yield Buffer.from("its end\n");
  };
  const report = await home.deliver({ aliasempty: "./in/", message: { size: 10, chunks } });
  assert.equal(report.status, "K");
});
