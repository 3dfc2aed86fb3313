/** `qmailctl stop` while a server says nothing: it does not wait for that, and the message goes at the next start. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { farServer } from "../qmail/remote/_server.ts";
import { freePort, makeSite, until } from "./_site.ts";

test("a server that says nothing holds no stop up; the next start tries the message at once", {
  timeout: 120_000,
}, async () => {
  const port = await freePort();
  await using site = await makeSite({ routes: { "": `127.0.0.1:${port}` } });
  await site.ok("install");
  await site.ok("start");
  const log = () => readFileSync(join(site.home, "log/qmail-send/current"), "latin1");
  const greeted = Promise.withResolvers<void>();
  {
    await using _silent = await farServer({ greeting: () => greeted.resolve() }, port);
    await site.ok("send", "--from", "me@near.test", "--to", "you@far.test", "--body", "one");
    await greeted.promise;
    const began = performance.now();
    await site.ok("stop");
    assert.ok(performance.now() - began < 30_000, "it waited for the server");
    assert.match(log(), /deferral: I_was_told_to_leave_before_the_message_was_sent/);
    assert.doesNotMatch(log(), /killed/);
  }
  await using far = await farServer({}, port);
  await site.ok("start");
  await until(() => /success: .*accepted_message/.test(log()), "the delivery");
  assert.equal(far.messages.length, 1);
});
