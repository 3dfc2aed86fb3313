/** `qmailctl explain` and the assignments of the config file, as their user sees them. */

import assert from "node:assert/strict";
import { appendFileSync, chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeSite } from "./_site.ts";

const IDS = `${process.getuid?.()}:${process.getgid?.()}`;

test("explain says what would become of an address, and exits by it", async () => {
  await using site = await makeSite({
    aliases: {
      you: "./you/Maildir/",
      postmaster: "you",
      round: "&round2",
      round2: "&round",
      far: "someone@far.test",
      evil: "|echo \u001b[2J",
    },
    control: { virtualdomains: ["virtual.test:you"] },
    routes: { "far.test": "relay.test:2525" },
  });
  await site.ok("install");
  const alias = (name: string) => join(site.home, "alias", name);
  const explain = (address: string) => site.ctl("explain", address);

  const postmaster = await explain("postmaster");
  assert.equal(postmaster.code, 0, postmaster.stderr);
  for (const line of [
    /^postmaster$/m,
    /^ {2}address {2}postmaster@mail\.example\.test, since it had no domain +control\/me:1$/m,
    /^ {2}domain {3}mail\.example\.test is local +control\/locals:1$/m,
    /^ {2}user {5}alias \(uid \d+, gid \d+\), since it is nobody else's$/m,
    /^ {2}file {5}.*\/alias\/\.qmail-postmaster$/m,
    /^ {2}forward {2}you +.*\/\.qmail-postmaster:1$/m,
    /^ +│ maildir {2}.*\/alias\/you\/Maildir\/ +.*\/\.qmail-you:1$/m,
    /^Would be delivered\.$/m,
  ]) {
    assert.match(postmaster.stdout, line);
  }

  const nobody = await explain("nobody@mail.example.test");
  assert.equal(nobody.code, 100);
  assert.match(nobody.stdout, /but +Sorry, no mailbox here by that name\. \(#5\.1\.1\)/);
  assert.match(nobody.stdout, /Would bounce\./);

  const round = await explain("round@mail.example.test");
  assert.equal(round.code, 100);
  assert.match(round.stdout, /already has my Delivered-To line/);
  assert.match(round.stdout, /Would bounce where it is forwarded to\./);

  const far = await explain("far@mail.example.test");
  assert.equal(far.code, 0);
  assert.match(far.stdout, /route +through relay\.test, port 2525 +control\/smtproutes:1/);

  // Nobody knows where such mail is to go.
  writeFileSync(join(site.home, "control/smtproutes"), "wrong.test: relay.test\n");
  const wrong = await explain("x@wrong.test");
  assert.match(
    wrong.stdout,
    /route +nowhere, until it is mended: " relay\.test" is no host +control\/smtproutes:1/,
  );

  const virtual = await explain("x@virtual.test");
  assert.equal(virtual.code, 100);
  assert.match(virtual.stdout, /virtual\.test is virtual: you-x@virtual\.test/);

  // What stands in a user's file does not reach the terminal as it is.
  const evil = await explain("evil@mail.example.test");
  assert.ok(!evil.stdout.includes("\u001b"));
  assert.match(evil.stdout, /\|echo \?\[2J/);

  chmodSync(alias(".qmail-you"), 0o646);
  const writable = await explain("you@mail.example.test");
  assert.equal(writable.code, 111);
  assert.match(writable.stdout, /Uh-oh: \.qmail file is writable\. \(#4\.7\.0\)/);
  chmodSync(alias(".qmail-you"), 0o644);

  const json = JSON.parse(await site.ok("explain", "postmaster", "--json"));
  assert.equal(json.channel, "local");
  assert.equal(json.recipient, "postmaster@mail.example.test");
  assert.equal(json.user.name, "alias");
  assert.equal(json.outcome, "K");
  assert.equal(json.actions[0].forward.actions[0].instruction.type, "maildir");
});

test("explain without an installation says so", async () => {
  await using site = await makeSite();
  const result = await site.ctl("explain", "x");
  assert.equal(result.code, 111);
  assert.match(result.stderr, /cannot explain mail in .*\n +is a mail server installed there\?/);
});

test("assignments of the config file become users/assign and users/cdb; a hand edit is kept and compiled", async () => {
  const home = "/nowhere";
  const line = (name: string) => `=${name}:${name}:${IDS}:${home}:-:${name}:`;
  await using site = await makeSite({ assign: [line("sales"), `+shop-:shop:${IDS}:${home}:-::`] });
  await site.ok("install");
  const assign = join(site.home, "users/assign");
  assert.equal(readFileSync(assign, "utf8").split("\n").length, 4);
  const by = async (address: string) => {
    const { stdout } = await site.ctl("explain", address);
    return /^ {2}user .*$/m.exec(stdout)?.[0] ?? stdout;
  };
  assert.match(await by("sales"), /sales \(uid .*\), by =sales +users\/assign:1$/);
  assert.match(await by("shop-x"), /shop \(uid .*\), by \+shop- +users\/assign:2$/);
  assert.match(await site.ok("install"), /nothing changed/);

  writeFileSync(assign, `${line("hand")}\n.\n`);
  const stale = await site.ctl("explain", "hand");
  assert.match(stale.stdout, /users\/assign says otherwise by now: run qmail-newu/);
  const report = await site.ok("install");
  assert.match(report, /users\/assign/);
  assert.match(await by("hand"), /by =hand/);
  assert.equal(readFileSync(assign, "utf8"), `${line("hand")}\n.\n`);

  appendFileSync(assign, "after the dot nothing counts\n");
  await site.ok("install");
  writeFileSync(assign, "no dot\n");
  const broken = await site.ctl("install");
  assert.notEqual(broken.code, 0);
  assert.match(broken.stderr, /users\/assign line 2: bad format: the last line must be a dot/);
});

test("a line that is no assignment is refused with what is allowed", async () => {
  await using site = await makeSite({ assign: ["sales:joe"] });
  const result = await site.ctl("install");
  assert.equal(result.code, 100);
  assert.match(result.stderr, /assign\[0\]: found "sales:joe"; allowed: a line of users\/assign/);
});
