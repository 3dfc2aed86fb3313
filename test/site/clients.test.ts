/** Programs that send mail through sendmail, each as it is: into a sandbox, and arriving. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { arrivedUntil, makeSite, type Result, run, type Site } from "./_site.ts";

const TO = "you@mail.example.test";

let site: Site;
let sendmail: string;
let maildir: string;

before(async () => {
  site = await makeSite();
  await site.ok("install");
  await site.ok("start");
  sendmail = join(site.home, "bin/sendmail");
  maildir = join(site.home, "alias/you/Maildir/new");
});

after(() => site[Symbol.asyncDispose]());

/** What keeps a test of `command` from running; false when nothing does. */
function missing(command: string, ...args: readonly string[]): string | false {
  const { status, error } = spawnSync(command, args.length > 0 ? args : ["--version"]);
  return error || status !== 0 ? `${command} ${args.join(" ")} is not here` : false;
}

function succeeded(result: Result): void {
  assert.equal(result.code, 0, result.stderr + result.stdout);
  assert.equal(result.stderr, "");
}

/** The message that has `text` in it, when it has arrived. */
async function message(text: string): Promise<string> {
  const texts = await arrivedUntil(maildir, (all) => all.some((each) => each.includes(text)));
  return texts.find((each) => each.includes(text)) ?? "";
}

test("mailq and newaliases, as links to sendmail", async () => {
  // The real one would write into /etc.
  writeFileSync(join(site.home, "bin/newaliases"), "#!/bin/sh\necho made\n");
  for (const [name, says] of [
    ["mailq", ""],
    ["newaliases", "made\n"],
  ] as const) {
    symlinkSync(sendmail, join(site.directory, name));
    const result = await run(join(site.directory, name), [], { cwd: "/" });
    assert.deepEqual(result, { code: 0, stdout: says, stderr: "" });
  }
});

test("PHP's mail()", { skip: missing("php") }, async () => {
  const script =
    'exit(mail($argv[1], "by PHP", "line\\nüber\\r\\n", ["From" => "Shop <shop@example.net>", ' +
    '"Bcc" => "postmaster@mail.example.test"], "-fbounces@example.net") ? 0 : 1);';
  const path = `sendmail_path=${sendmail} -t -i`;
  succeeded(await run("php", ["-d", path, "-r", script, TO]));
  const text = await message("Subject: by PHP");
  assert.match(text, /^Return-Path: <bounces@example\.net>$/m);
  assert.match(text, /^From: Shop <shop@example\.net>$/m);
  assert.doesNotMatch(text, /Bcc|\r/);
});

test("mutt", { skip: missing("mutt", "-v") }, async () => {
  const settings = [
    `set sendmail='${sendmail} -oem -oi'`,
    "set from='me@example.net'",
    "set use_envelope_from=yes",
    "set copy=no",
  ];
  const args = settings.flatMap((setting) => ["-e", setting]);
  const options = { input: "from mutt\n.\nover the dot\n", env: muttEnv() };
  succeeded(await run("mutt", ["-F", "/dev/null", ...args, "-s", "by mutt", "--", TO], options));
  const text = await message("Subject: by mutt");
  assert.match(text, /^Return-Path: <me@example\.net>$/m);
  assert.match(text, /\nfrom mutt\n\.\nover the dot\n$/);
});

function muttEnv(): NodeJS.ProcessEnv {
  return { ...process.env, HOME: site.directory, EMAIL: "me@example.net" };
}

const noGit = missing("git") || missing("git", "send-email", "--dump-aliases");

test("git send-email", { skip: noGit || missing("perl", "-MMail::Address", "-e1") }, async () => {
  const repository = join(site.directory, "repository");
  mkdirSync(repository);
  const env = { ...process.env, HOME: site.directory, GIT_CONFIG_NOSYSTEM: "1" };
  const git = async (...args: string[]) => {
    const identity = ["-c", "user.name=Jo Do", "-c", "user.email=jo@example.net"];
    const result = await run("git", [...identity, ...args], { cwd: repository, env });
    assert.equal(result.code, 0, result.stderr + result.stdout);
  };
  await git("init", "-q");
  writeFileSync(join(repository, "file"), "text\n");
  await git("add", "file");
  await git("commit", "-qm", "a patch by git");
  const wanted = ["--confirm=never", "--suppress-cc=all", `--smtp-server=${sendmail}`];
  await git("send-email", ...wanted, "--envelope-sender=auto", "--to", TO, "-1");
  const text = await message("[PATCH] a patch by git");
  assert.match(text, /^Return-Path: <jo@example\.net>$/m);
  assert.match(text, /\n\+text\n/);
});

test("swaks, a whole session of sendmail -bs", { skip: missing("swaks") }, async () => {
  const args = ["--from", "me@example.net", "--to", TO, "--header", "Subject: by swaks"];
  succeeded(await run("swaks", ["--pipe", `${sendmail} -bs`, ...args]));
  const text = await message("Subject: by swaks");
  assert.match(text, /^Return-Path: <me@example\.net>$/m);
  assert.match(text, /^Received: from localhost .*\(sendmail-bs@127\.0\.0\.1\)$/m);
});

/** The arguments and the message of Debian's cron 3.0pl1 and of cronie (their do_command.c). */
const CRON: readonly (readonly [name: string, args: readonly string[], date: string])[] = [
  ["cron", ["-i", "-FCronDaemon", "-B8BITMIME", "-oem"], "Date: Tue, 24 Nov 2026 16:00:01 +0000\n"],
  ["cronie", ["-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-f", "root"], ""],
];

for (const [name, args, date] of CRON) {
  test(`${name}: its arguments and its message`, async () => {
    const input =
      "From: root (Cron Daemon)\nTo: you\nSubject: Cron <you@mail> by " +
      `${name}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n` +
      `Content-Transfer-Encoding: 8bit\nX-Cron-Env: <SHELL=/bin/sh>\n${date}\noutput\n`;
    const env = { PATH: process.env.PATH, LOGNAME: "root", HOME: "/root", SHELL: "/bin/sh" };
    succeeded(await run(sendmail, [...args, "you"], { input, env }));
    const text = await message(`by ${name}\n`);
    assert.match(text, /^Return-Path: <root@mail\.example\.test>$/m);
    assert.match(text, /^From: root@mail\.example\.test \(Cron Daemon\)$/m);
    assert.equal(text.match(/^Date: /gm)?.length, 1);
    assert.match(text, /\n\noutput\n$/);
  });
}

test("sendmail -q flushes, -bp lists, both content", async () => {
  succeeded(await run(sendmail, ["-q"]));
  succeeded(await run(sendmail, ["-bp"]));
});

test("a malformed address is refused by name", async () => {
  const inHeader = await run(sendmail, ["-t"], { input: "To: <a@b\n\nx\n" });
  assert.deepEqual(
    [inHeader.code, inHeader.stderr],
    [100, "sendmail: fatal: unable to parse this line:\nTo: <a@b\n"],
  );
  const asArgument = await run(sendmail, ["x@[1.2"], { input: "\n" });
  assert.deepEqual(
    [asArgument.code, asArgument.stderr],
    [100, "sendmail: fatal: unable to parse address: x@[1.2\n"],
  );
});
