/** `qmailctl flush` reaches down to what qmail-remote remembers of hosts that did not answer. */

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { farServer } from "../qmail/remote/_server.ts";
import { freePort, makeSite, until } from "./_site.ts";

test("flush: a host that was down is tried at once, and the table of time-outs is empty", async () => {
  const port = await freePort();
  await using site = await makeSite({ routes: { "": `127.0.0.1:${port}` } });
  await site.ok("install");
  await site.ok("start");
  const log = () => readFileSync(join(site.home, "log/qmail-send/current"), "latin1");
  await site.ok("send", "--from", "me@near.test", "--to", "you@far.test", "--body", "one");
  await until(() => /deferral: .*SMTP_connection/.test(log()), "the first try");
  await site.ok("flush");
  await until(() => (log().match(/deferral: /g) ?? []).length >= 2, "the second try");
  assert.doesNotMatch(log(), /was_not_tried_again/);

  const table = join(site.home, "queue/lock/tcpto");
  writeFileSync(table, Buffer.alloc(1024, 1));
  await using far = await farServer({}, port);
  await site.ok("flush");
  await until(() => /success: .*accepted_message/.test(log()), "the delivery");
  assert.deepEqual(readFileSync(table), Buffer.alloc(1024));
  assert.equal(far.messages.length, 1);
});
