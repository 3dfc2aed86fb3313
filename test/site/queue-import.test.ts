/** queue export and import: what waits on one installation is delivered by another. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { arrived, freePort, makeSite, smtp, smtpMessage, until } from "./_site.ts";

test("deferred mail, exported as tar and as mbox, is delivered where it is imported", async () => {
  const port = await freePort();
  await using from = await makeSite({
    rcpthosts: ["mail.example.test", "far.test"],
    routes: { "": `127.0.0.1:${port}` },
  });
  await from.ok("install");
  await from.ok("start");
  for (const sender of ["a@x.test", "b@x.test"]) {
    await smtp(from.port, smtpMessage(sender, "you@far.test", "hello"));
  }
  await until(
    async () =>
      JSON.parse(await from.ok("--json", "queue", "list")).every(
        ({ state }: { state: string }) => state === "waiting",
      ),
    "both were tried",
  );
  const tar = join(from.directory, "a.tar");
  const mbox = join(from.directory, "b.mbox");
  await from.ok("queue", "export", "--from", "a@x.test", "--format", "tar", "--output", tar);
  await from.ok("queue", "export", "--from", "b@x.test", "--output", mbox);

  await using to = await makeSite({ locals: ["mail.example.test", "far.test"] });
  await to.ok("install");
  const counted = JSON.parse(await to.ok("--json", "queue", "import", tar, "--dry-run"));
  assert.equal(counted.messages, 1);
  // With the daemons down, and up.
  assert.match((await to.ctl("queue", "import", tar)).stderr, /Imported 1 message\./);
  await to.ok("start");
  assert.match((await to.ctl("queue", "import", mbox)).stderr, /Imported 1 message\./);
  const mail = await arrived(join(to.home, "alias/you/Maildir/new"), 2);
  for (const sender of ["a@x.test", "b@x.test"]) {
    const message = mail.find((text) => text.includes(`Return-Path: <${sender}>`));
    assert.match(message ?? "", /Delivered-To: you@far\.test[\s\S]*\n\nhello/);
  }
  const wrong = await to.ctl("queue", "import", join(from.directory, "none"));
  assert.equal(wrong.code, 111);
  assert.match(wrong.stderr, /cannot read ".*none"/);
});
