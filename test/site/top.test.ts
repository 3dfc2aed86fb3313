/** `qmailctl top` beside a running mail server: what it shows is so, and its keys do what they say. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { TestTerminal } from "../commands/top/_terminal.ts";
import { freePort, LAUNCHER, lacks, makeSite, smtp, smtpMessage } from "./_site.ts";

test("a message that cannot be delivered is seen, held, released, deleted", {
  skip: lacks("script", "stty"),
}, async () => {
  const dead = await freePort();
  await using site = await makeSite({ routes: { "dead.test": `127.0.0.1:${dead}` } });
  await site.ok("install");
  await site.ok("start");
  const from = "you@mail.example.test";
  await site.ok("send", "bob@dead.test", "--from", from, "--subject", "about bob");
  const command = `'${process.execPath}' '${LAUNCHER}' --config '${site.config}' top --interval 0.3`;
  const terminal = new TestTerminal(command, { width: 140, rows: 30 });
  try {
    await terminal.shows(/runs {3}all \d services/);
    await terminal.shows(/doors {2}smtpd \d/);
    await terminal.shows(/deferral +Sorry, I wasn't able to establish/);
    await terminal.shows(/queue {2}1 message/);

    await smtp(site.port, smtpMessage("x@example.net", "you@mail.example.test", "hi"));
    await terminal.shows(/^ in .* 0\.0[1-9] │/m);

    terminal.type("3");
    await terminal.shows(/waiting .* you@mail\.example\.test +bob@dead\.test/);
    terminal.type("h");
    await terminal.shows(/Message \d+ is held/);
    await terminal.shows(/held .* bob@dead\.test/);
    await terminal.shows(/waits .* held .*1/);
    terminal.type("h");
    await terminal.shows(/has gone, or is held already/);
    terminal.type("u");
    await terminal.shows(/(?:waiting|due|trying) .* bob@dead\.test/);
    terminal.type("dn");
    await terminal.shows(/delete: not done/);
    assert.equal(JSON.parse(await site.ok("queue", "list", "--json")).length, 1);
    terminal.type("\r");
    await terminal.shows(/Subject: about bob/);
    terminal.type("x");
    await terminal.shows(/q quit/);
    terminal.type("d");
    await terminal.shows(/Really delete message \d+, without a word to anybody\?/);
    terminal.type("y");
    await terminal.shows(/Message \d+ is deleted/);
    await terminal.shows(/queue {2}0 messages/);
    assert.deepEqual(JSON.parse(await site.ok("queue", "list", "--json")), []);
    terminal.type("q");
    assert.match(await terminal.left(), /left with 0/);
  } finally {
    await terminal.end();
  }
});
