/** maildirmake, maildir2mbox, maildirwatch and the mail readers on them. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { maildir2mbox } from "../../../qmail/maildir/maildir2mbox.ts";
import { maildirmake } from "../../../qmail/maildir/maildirmake.ts";
import { newMail } from "../../../qmail/maildir/maildirwatch.ts";
import { programPath } from "../../../qmail/programs.ts";

class Box implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "qmailctl-maildir-"));
  readonly maildir = join(this.path, "Maildir");
  readonly env = {
    MAILDIR: this.maildir,
    MAIL: join(this.path, "mbox"),
    MAILTMP: join(this.path, "mbox.tmp"),
  };

  constructor() {
    assert.equal(maildirmake([this.maildir]).code, 0);
  }

  /** A message that came at `seconds`. */
  put(name: string, text: string, seconds: number): void {
    const path = join(this.maildir, name);
    writeFileSync(path, text, "latin1");
    utimesSync(path, seconds, seconds);
  }

  mbox(): string {
    return readFileSync(this.env.MAIL, "latin1");
  }

  names(): string[] {
    return ["new", "cur"].flatMap((folder) => readdirSync(join(this.maildir, folder)));
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

const warnings: string[] = [];
const options = { now: Date.now(), warn: (line: string) => warnings.push(line) };

test("maildirmake: for its owner alone, and not twice", () => {
  using box = new Box();
  assert.deepEqual(readdirSync(box.maildir).sort(), ["cur", "new", "tmp"]);
  assert.equal(statSync(join(box.maildir, "new")).mode & 0o777, 0o700);
  assert.deepEqual(maildirmake([box.maildir]), {
    code: 111,
    message: `unable to mkdir ${box.maildir}: file already exists`,
  });
  assert.equal(maildirmake([]).code, 100);
});

test("maildir2mbox: oldest first, behind what is there, and out of the Maildir", async () => {
  using box = new Box();
  writeFileSync(box.env.MAIL, "From old\n\nold\n\n");
  box.put("new/b", "Return-Path: <b c@x>\nSubject: 2\n\nFrom here\n>From\nno newline", 1000);
  box.put("cur/a:2,S", "Return-Path: <>\n\n1\n", 0);
  box.put("new/c", "Subject: no return path\n\n", 2000);
  box.put("new/.hidden", "x", 0);
  box.put("new/d", "", 3000);
  const { code, message } = await maildir2mbox(box.env, options);
  assert.deepEqual([code, message], [0, ""]);
  assert.equal(
    box.mbox(),
    "From old\n\nold\n\n" +
      "From MAILER-DAEMON Thu Jan 01 00:00:00 1970\nReturn-Path: <>\n\n1\n\n" +
      "From b-c@x Thu Jan 01 00:16:40 1970\nReturn-Path: <b c@x>\nSubject: 2\n\n>From here\n>From\nno newline\n\n" +
      "From XXX Thu Jan 01 00:33:20 1970\nSubject: no return path\n\n\n" +
      "From XXX Thu Jan 01 00:50:00 1970\n\n",
  );
  assert.deepEqual(box.names(), [".hidden"]);
  assert.ok(!existsSync(box.env.MAILTMP) && !existsSync(`${box.env.MAIL}.lock`));
  assert.deepEqual(warnings, []);
});

test("maildir2mbox: what fails leaves mbox and Maildir as they were", async () => {
  using box = new Box();
  box.put("new/a", "x\n", 0);
  writeFileSync(box.env.MAIL, "old\n");
  const fails = async (env: Record<string, string | undefined>, expected: RegExp) => {
    const { code, message } = await maildir2mbox(env, options);
    assert.equal(code, 111);
    assert.match(message, expected);
    assert.equal(box.mbox(), "old\n");
    assert.deepEqual(box.names(), ["a"]);
  };
  await fails({ ...box.env, MAIL: undefined }, /^MAIL not set$/);
  await fails({ ...box.env, MAILTMP: undefined }, /^MAILTMP not set$/);
  await fails({ ...box.env, MAILDIR: undefined }, /^MAILDIR not set$/);
  await fails({ ...box.env, MAILDIR: "/none" }, /^unable to scan \$MAILDIR: file does not exist$/);
  await fails(
    { ...box.env, MAILTMP: "/none/x" },
    /^unable to create \/none\/x: file does not exist$/,
  );
  await fails(
    { ...box.env, MAILTMP: "/dev/full" },
    /^unable to write to \/dev\/full: out of disk space$/,
  );
  await fails({ ...box.env, MAIL: box.maildir }, /^unable to lock .*: is a directory$/);
});

test("maildirwatch: C's lines for each message, printable", () => {
  using box = new Box();
  box.put(
    "new/a",
    "Return-Path: <a@b>\nDelivered-To: joe@h\nFrom: J\xf6 <j@x>\nSubject: hello\n\nbody \x1b[2J line\nmore\n",
    0,
  );
  box.put("new/b", "", 1);
  box.put("new/c", `Subject: x\n\n${"y".repeat(300)}\n`, 2);
  assert.equal(
    newMail(box.maildir, Date.now()),
    "FROM <a@b> TO <joe@h>\n\x1b[1mFrom: J/ <j@x>\x1b[0m\nhello//body /[2J line/more/\n\n" +
      "FROM ? TO <?>\n\n\n" +
      `FROM ? TO <?>\nx//${"y".repeat(155)}\n\n`,
  );
});

for (const [old, between] of [
  ["From a\n\ncut off", "\n\n"],
  ["From a\n\nno empty line\n", "\n"],
  ["From a\n\nwhole\n\n", ""],
  ["", ""],
] as const) {
  test(`maildir2mbox behind an mbox that ends in ${JSON.stringify(old)}`, async () => {
    using box = new Box();
    box.put("new/a", "Return-Path: <a@b>\n\nnew\n", 0);
    writeFileSync(box.env.MAIL, old);
    const outcome = await maildir2mbox(box.env, { now: Date.now(), warn: assert.fail });
    assert.equal(outcome.code, 0);
    const start = `${old}${between}From a@b `;
    assert.equal(box.mbox().slice(0, start.length), start);
  });
}

test("elq moves the mail and starts its reader with our arguments", () => {
  using box = new Box();
  box.put("new/a", "x\n", 0);
  writeFileSync(join(box.path, "elm"), '#!/bin/sh\necho "elm $*"; cat "$MAIL"; exit 3\n');
  chmodSync(join(box.path, "elm"), 0o755);
  const { status, stdout } = spawnSync(process.execPath, [programPath("maildir/elq"), "-s", "x"], {
    encoding: "utf8",
    env: { ...box.env, PATH: `${box.path}:${process.env.PATH}` },
  });
  assert.equal(status, 3);
  assert.match(stdout, /^elm -s x\nFrom XXX .*1970\nx\n\n$/);
});
