import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { programPath } from "../../../qmail/programs.ts";
import { idleMax } from "../../../qmail/spawn/qmail-lspawn.ts";
import { LspawnProcess, QmailHome } from "./_lspawn.ts";

const MIB = 1024 * 1024;

function alias(home: QmailHome, name: string, text: string): void {
  home.write(`alias/.qmail-${name}`, text);
}

function maildir(home: QmailHome): string {
  for (const sub of ["tmp", "new", "cur"]) {
    mkdirSync(join(home.path, "alias/Maildir", sub), { recursive: true });
  }
  return join(home.path, "alias/Maildir/new");
}

test("what cannot be delivered at all is said in qmail-lspawn's words", async () => {
  using home = new QmailHome();
  await using lspawn = new LspawnProcess(home.path, "./Maildir/");
  assert.equal(await lspawn.deliver("@local.test"), "K");
  assert.equal(
    await lspawn.deliver("nobody"),
    "DSorry, address must include host name. (#5.1.3)\n",
  );
  assert.equal(
    await lspawn.deliver("x@local.test"),
    "DSorry, no mailbox here by that name. (#5.1.1)\n",
  );
  home.write("users/cdb", "this is no cdb");
  assert.equal(
    await lspawn.deliver("x@local.test"),
    "ZTrouble reading users/cdb in qmail-lspawn.\n",
  );
  rmSync(join(home.path, "users/cdb"));
  alias(home, "x", "# nothing\n");
  assert.equal(await lspawn.deliver("x@local.test"), "Kdid 0+0+0\n");
  rmSync(join(home.path, "queue"), { recursive: true });
  assert.equal(
    await lspawn.deliver("x@local.test"),
    "Zqmail-spawn unable to open message. (#4.3.0)\n",
  );
});

test("an order that is read when its number is another message's delivers nothing", async () => {
  using home = new QmailHome();
  alias(home, "x", "# nothing\n");
  await using lspawn = new LspawnProcess(home.path, "./Maildir/");
  assert.equal(await lspawn.deliver("x@local.test"), "Kdid 0+0+0\n");
  assert.equal(
    await lspawn.deliver("x@local.test", { later: 1 }),
    "ZSorry, message is another one. (#4.3.5)\n",
  );
});

test("what rc sets reaches deliveries: QMAILQUEUE takes forwards, programs see the rest", async () => {
  using home = new QmailHome();
  const filter = join(home.path, "filter");
  home.write("filter", '#!/bin/sh\ncat >"$0.message"; cat <&1 >"$0.envelope"\n');
  chmodSync(filter, 0o755);
  alias(home, "forward", "&far@example.net\n");
  alias(home, "say", "|echo $GREETING; printenv UV_THREADPOOL_SIZE QMAILHOME; :\n");
  await using lspawn = new LspawnProcess(home.path, "./Maildir/", {
    QMAILQUEUE: filter,
    GREETING: "hello",
  });
  assert.match(await lspawn.deliver("forward@local.test"), /^Kdid 0\+1\+0\nqp \d+\n$/);
  assert.equal(
    readFileSync(`${filter}.envelope`, "latin1"),
    "Fsender@example.com\0Tfar@example.net\0\0",
  );
  assert.match(readFileSync(`${filter}.message`, "latin1"), /\nbody\n$/);
  assert.deepEqual(home.queued(""), []);
  assert.equal(await lspawn.deliver("say@local.test"), "Khello\ndid 0+0+1\n");
});

test("a stuck program holds its own delivery, and nobody else's", async () => {
  using home = new QmailHome();
  const stored = maildir(home);
  const fifo = join(home.path, "alias/fifo");
  assert.equal(spawnSync("mkfifo", [fifo]).status, 0);
  alias(home, "stuck", "|read line <fifo; echo $line\n");
  alias(home, "store", "./Maildir/\n");
  await using lspawn = new LspawnProcess(home.path, "./Maildir/");
  let stuck = true;
  const waiting = lspawn.deliver("stuck@local.test").then((report) => {
    stuck = false;
    return report;
  });
  const reports = await Promise.all(
    Array.from({ length: 50 }, () => lspawn.deliver("store@local.test")),
  );
  assert.deepEqual([...new Set(reports)], ["Kdid 1+0+0\n"]);
  assert.equal(readdirSync(stored).length, 50);
  assert.equal(stuck, true);
  assert.equal(lspawn.workers().length, 1);
  const fd = openSync(fifo, "w");
  writeSync(fd, "went on\n");
  assert.equal(await waiting, "Kwent on\ndid 0+0+1\n");
});

test("a worker that is killed fails its deliveries for now, and the next ones have a new one", async () => {
  using home = new QmailHome();
  maildir(home);
  alias(home, "kill", "|kill -9 $PPID; sleep 10\n");
  alias(home, "store", "./Maildir/\n");
  await using lspawn = new LspawnProcess(home.path, "./Maildir/");
  assert.equal(await lspawn.deliver("kill@local.test"), "Zqmail-local crashed.\n");
  assert.equal(await lspawn.deliver("store@local.test"), "Kdid 1+0+0\n");
});

test("a long message is handed on in pieces, and its descriptor is closed again", async () => {
  using home = new QmailHome();
  maildir(home);
  home.message(`Subject: long\n\n${"x".repeat(3 * MIB)}\n`);
  alias(home, "count", "|wc -c\n");
  await using lspawn = new LspawnProcess(home.path, "./Maildir/");
  const size = 3 * MIB + "Subject: long\n\n\n".length;
  assert.equal(await lspawn.deliver("count@local.test"), `K${size}\ndid 0+0+1\n`);
  const before = lspawn.descriptors();
  await Promise.all(Array.from({ length: 20 }, () => lspawn.deliver("count@local.test")));
  await Promise.all(Array.from({ length: 20 }, () => lspawn.deliver("nobody@local.test")));
  assert.equal(lspawn.descriptors(), before);
});

test("without a default delivery it leaves with 100", async () => {
  const child = spawn(process.execPath, [programPath("spawn/qmail-lspawn")]);
  assert.deepEqual(await once(child, "exit"), [100, null]);
});

test("how many workers may be idle goes by the memory there is", () => {
  assert.equal(idleMax(512 * MIB), 20);
  assert.equal(idleMax(8 * 1024 * MIB), 102);
  assert.equal(idleMax(1024 * 1024 * MIB), 400);
});

test("mail is delivered by users/cdb as it is now, not as it was at the start", async () => {
  using home = new QmailHome();
  maildir(home);
  await using lspawn = new LspawnProcess(home.path, "./Maildir/");
  const newu = (user: string) => {
    const ids = `${process.getuid?.()}:${process.getgid?.()}`;
    writeFileSync(
      join(home.path, "users/assign"),
      `=joe:${user}:${ids}:${home.path}/alias:-:joe:\n.\n`,
    );
    const env = { ...process.env, QMAILHOME: home.path };
    const made = spawnSync(process.execPath, [programPath("users/qmail-newu")], { env });
    assert.equal(made.status, 0);
  };
  alias(home, "joe", '|echo "$USER"\n');
  for (const user of ["one", "two", "three"]) {
    newu(user);
    assert.equal(await lspawn.deliver("joe@local.test"), `K${user}\ndid 0+0+1\n`);
  }
});

test("who waits for an mbox is passed on as that, the others have their mail, and all go on", async () => {
  using home = new QmailHome();
  const stored = maildir(home);
  alias(home, "locked", "./Mailbox\n");
  alias(home, "store", "./Maildir/\n");
  home.write("alias/Mailbox.lock", "0\n");
  await using lspawn = new LspawnProcess(home.path, "./Maildir/");
  const reports = Array.from({ length: 40 }, () => lspawn.deliver("locked@local.test"));
  await lspawn.waiting(40);
  assert.equal(await lspawn.deliver("store@local.test"), "Kdid 1+0+0\n");
  assert.equal(readdirSync(stored).length, 1);
  rmSync(join(home.path, "alias/Mailbox.lock"));
  assert.deepEqual([...new Set(await Promise.all(reports))], ["Kdid 1+0+0\n"]);
  assert.equal(
    readFileSync(join(home.path, "alias/Mailbox"), "latin1").match(/^From /gm)?.length,
    40,
  );
  await lspawn.waiting(0);
});

test("told to leave, it gives up who waits for an mbox, and waits for programs", async () => {
  using home = new QmailHome();
  const fifo = join(home.path, "alias/fifo");
  assert.equal(spawnSync("mkfifo", [fifo]).status, 0);
  alias(home, "stuck", "|read line <fifo; echo $line\n");
  alias(home, "locked", "./Mailbox\n");
  home.write("alias/Mailbox.lock", "0\n");
  await using lspawn = new LspawnProcess(home.path, "./Maildir/");
  const program = lspawn.deliver("stuck@local.test");
  const locked = lspawn.deliver("locked@local.test");
  await lspawn.waiting(1);
  lspawn.leave();
  assert.equal(await locked, "ZFile is locked, and the mail system is being stopped. (#4.3.0)\n");
  const fd = openSync(fifo, "w");
  writeSync(fd, "went on\n");
  assert.equal(await program, "Kwent on\ndid 0+0+1\n");
});

test("what is done of a message is not done again, and of another with its number it is", async () => {
  using home = new QmailHome();
  const stored = maildir(home);
  alias(home, "x", "./Maildir/\n|echo once >>ran\n|test -e ready || exit 111\n");
  alias(home, "y", "./Maildir/\n|test -e ready || exit 111\n");
  await using lspawn = new LspawnProcess(home.path, "./Maildir/");
  const ran = () => readFileSync(join(home.path, "alias/ran"), "latin1");
  for (let tries = 0; tries < 3; tries++) assert.equal(await lspawn.deliver("x@local.test"), "Z");
  assert.equal(readdirSync(stored).length, 1);
  assert.equal(ran(), "once\n");
  // Another recipient, and another sender.
  assert.equal(await lspawn.deliver("y@local.test"), "Z");
  assert.equal(await lspawn.deliver("x@local.test", { sender: "other@example.com" }), "Z");
  assert.equal(readdirSync(stored).length, 3);
  // A worker that is gone takes nothing along.
  for (const pid of lspawn.workers()) process.kill(pid, "SIGKILL");
  while (lspawn.workers().length > 0) await new Promise(setImmediate);
  let report = "";
  // What came before its end was heard of was for nothing.
  do report = await lspawn.deliver("x@local.test");
  while (report === "Zqmail-local crashed.\n");
  assert.equal(report, "Z");
  assert.equal(ran(), "once\nonce\n");
  home.message("Subject: another\n\nbody\n");
  assert.equal(await lspawn.deliver("x@local.test"), "Z");
  assert.equal(readdirSync(stored).length, 4);
  home.write("alias/ready", "");
  assert.equal(await lspawn.deliver("x@local.test"), "Kdid 1+0+2\n");
  assert.equal(readdirSync(stored).length, 4);
  // It has come to its end: whoever sends it again means it.
  assert.equal(await lspawn.deliver("x@local.test"), "Kdid 1+0+2\n");
  assert.equal(readdirSync(stored).length, 5);
});
