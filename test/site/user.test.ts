/** `qmailctl user add`: a login reads the mailbox that mail for it fills. */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { makeSite, qmailctl } from "./_site.ts";

const IDS = `${process.getuid?.()}:${process.getgid?.()}`;

test("a login reads the mailbox that its address fills", { timeout: 120_000 }, async (t) => {
  const homes = mkdtempSync(join(tmpdir(), "qmailctl-homes-"));
  t.after(() => rmSync(homes, { recursive: true }));
  for (const name of ["u1", "u2"]) mkdirSync(join(homes, name));
  const user = (name: string) => `=${name}:${name}:${IDS}:${join(homes, name)}:::`;
  await using site = await makeSite({
    defaultDelivery: "./Maildir/",
    assign: [user("u1"), user("u2")],
    aliases: { you: "./you/Maildir/", other: "you", box: "./box/Mailbox", out: "x@far.test" },
  });
  await site.ok("install");
  const alias = join(site.home, "alias");
  const add = async (login: string, ...more: string[]) => {
    const args = ["--config", site.config, "--json", "user", "add", login, ...more];
    const { code, stdout, stderr } = await qmailctl(args, { input: "secret\n" });
    assert.equal(code, 0, stderr);
    return [JSON.parse(stdout).home, stderr];
  };
  assert.deepEqual(await add("u1@mail.example.test"), [join(homes, "u1"), ""]);
  assert.deepEqual(await add("u2"), [join(homes, "u2"), ""]);
  assert.ok(statSync(join(homes, "u1/Maildir/new")).isDirectory());
  assert.deepEqual(await add("you"), [join(alias, "you"), ""]);
  assert.deepEqual(await add("other@mail.example.test"), [join(alias, "you"), ""]);
  // What fills nothing here is made as ever.
  assert.deepEqual(await add("out"), [join(alias, "out"), ""]);
  assert.deepEqual(await add("joe@example.com"), [join(alias, "joe"), ""]);

  const [mbox, aboutMbox] = await add("box");
  assert.equal(mbox, join(alias, "box"));
  const mailbox = join(alias, "box/Mailbox");
  assert.equal(aboutMbox, `warning: mail for box goes to ${mailbox}: see qmailctl explain box\n`);
  const [elsewhere, aboutOther] = await add("U1", "--mailhome", join(homes, "u2"));
  assert.equal(elsewhere, join(homes, "u2"));
  assert.match(String(aboutOther), /^warning: mail for U1 goes to .*\/u1\/Maildir: /);
});
