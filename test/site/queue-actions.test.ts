/** queue delete, hold, release, retry and the others, as a user gives them: running and stopped. */

import assert from "node:assert/strict";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { checkQueue } from "../qmail/send/_send.ts";
import { arrived, freePort, makeSite, type Site, smtp, smtpMessage, until } from "./_site.ts";

interface Listed {
  readonly id: string;
  readonly sender: string;
  readonly state: string;
}

async function list(site: Site): Promise<Listed[]> {
  return JSON.parse(await site.ok("--json", "queue", "list"));
}

/** A site whose mail for far.test waits: nobody listens where it goes. */
async function makeWaiting(): Promise<Site> {
  const port = await freePort();
  return makeSite({
    rcpthosts: ["mail.example.test", "far.test", "near.test"],
    routes: { "": `127.0.0.1:${port}` },
  });
}

/** Puts messages in and waits until they have been tried. Returns their ids by sender. */
async function put(
  site: Site,
  senders: readonly string[],
  to: string,
): Promise<Map<string, string>> {
  for (const sender of senders) await smtp(site.port, smtpMessage(sender, to, "hello"));
  let all: Listed[] = [];
  await until(async () => {
    all = (await list(site)).filter(({ sender }) => senders.includes(sender));
    return all.length === senders.length && all.every(({ state }) => state !== "todo");
  }, "the messages are in the queue");
  return new Map(all.map(({ sender, id }) => [sender, id]));
}

test("running: what is shown is hit, and nothing else; stopped: the same", async () => {
  await using site = await makeWaiting();
  await site.ok("install");
  await site.ok("start");
  const ids = await put(site, ["a@x.test", "b@x.test", "c@x.test", "d@x.test"], "joe@far.test");
  const id = (sender: string) => ids.get(sender) ?? "";

  const nothing = await site.ctl("queue", "delete");
  assert.equal(nothing.code, 100);
  assert.match(nothing.stderr, /which messages/);
  const unasked = await site.ctl("queue", "delete", "--from", "a@x.test");
  assert.equal(unasked.code, 100);
  assert.match(unasked.stderr, /would hit 1 message to 1 recipient: nobody can be asked/);
  assert.match(await site.ok("queue", "delete", "--from", "a@x.test", "--dry-run"), /a@x\.test/);
  assert.equal((await list(site)).length, 4);

  assert.match(
    await site.ok("queue", "delete", "--yes", "--from", "a@x.test"),
    /^1 message deleted/,
  );
  assert.match(await site.ok("queue", "hold", id("b@x.test")), /^1 message held/);
  const retried = JSON.parse(await site.ok("--json", "queue", "retry", "--domain", "far.test"));
  assert.deepEqual([retried.messages, retried.done], [2, 2]);
  assert.match(await site.ok("queue", "release", "--all"), /^1 message released/);
  assert.match(
    await site.ok("queue", "redirect", "you@mail.example.test", id("c@x.test"), "--yes"),
    /^1 message redirected/,
  );
  const maildir = join(site.home, "alias/you/Maildir/new");
  await until(() => existsSync(maildir), "the Maildir");
  const [mail] = await arrived(maildir, 1);
  assert.match(mail ?? "", /Return-Path: <c@x\.test>/);
  const log = await site.ok("log", "show");
  for (const name of ["delete", "hold", "retry", "release", "redirect"]) {
    assert.match(log, new RegExp(`action ${name}: msg \\d+`), name);
  }

  await site.ok("stop");
  const left = await list(site);
  assert.deepEqual(left.map(({ sender }) => sender).sort(), ["b@x.test", "d@x.test"]);
  assert.match(await site.ok("queue", "hold", id("b@x.test")), /qmail-send does not run/);
  assert.match(
    await site.ok("queue", "bounce", "--text", "Gone.", "--yes", id("d@x.test")),
    /^1 message bounced/,
  );
  assert.ok(existsSync(join(site.home, `queue/bounce/${id("d@x.test")}`)));
  checkQueue(join(site.home, "queue"));
  await site.ok("start");
  // The bounce cannot go anywhere either: it waits, and the message that it is about has ended.
  await until(async () => {
    const now = await list(site);
    return (
      now.some(({ sender }) => sender === "") && !now.some(({ sender }) => sender === "d@x.test")
    );
  }, "the bounce");
  assert.match(await site.ok("queue", "delete", "--all", "--yes"), /^2 messages deleted/);
  assert.deepEqual(await list(site), []);
});

test("a queue that another qmail-send has is left alone", async () => {
  await using site = await makeWaiting();
  await site.ok("install");
  await site.ok("start");
  await put(site, ["a@x.test"], "joe@far.test");
  // As a qmail-send without our socket.
  rmSync(join(site.home, "run/send/qmail-send"));
  const refused = await site.ctl("queue", "delete", "--all", "--yes");
  assert.equal(refused.code, 111);
  assert.match(refused.stderr, /belongs to a qmail-send that takes no actions/);
  assert.equal((await list(site)).length, 1);
});
