/** qmail-lspawn as root: real uids. Needs qmail's users; assigned uids need no accounts. */

import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { openSite } from "../../commands/explain/site.ts";
import { walk } from "../../commands/explain/walk.ts";
import { idleMax } from "../../qmail/spawn/qmail-lspawn.ts";
import { processInfo } from "../../qmail/supervise/procfs.ts";
import { getgrnam, getpwnam } from "../../qmail/users/passwd.ts";
import { newu } from "../../qmail/users/qmail-newu.ts";
import { LspawnProcess, QmailHome } from "../qmail/spawn/_lspawn.ts";

/** So many uids get mail; the long form of the test set has more than may be idle at once. */
const USERS = process.env.QMAILCTL_TEST_LONG ? 300 : 12;
const FIRST_UID = 50_000;
const GID = 60_000;
const AT_ONCE = 10;

class RootHome extends QmailHome {
  constructor() {
    super({ sandbox: false });
    for (const name of [".", "homes", "alias"]) {
      mkdirSync(join(this.path, name), { recursive: true });
      chmodSync(join(this.path, name), 0o755);
    }
    this.write("control/me", "local.test\n");
    this.write("rc", "qmail-start ./Maildir/\n");
    this.message("Subject: x\n\nbody\n", getpwnam("qmailq")?.uid);
    chmodSync(join(this.path, "drop"), 0o3733);
    chownSync(join(this.path, "drop"), 0, getgrnam("qmail")?.gid ?? 0);
  }

  /** The home of a user with `uid`, with a Maildir and `files`; all of it his. */
  user(uid: number, files: Readonly<Record<string, string>> = {}): string {
    const home = join(this.path, "homes", `u${uid}`);
    const directories = ["", "Maildir", "Maildir/tmp", "Maildir/new", "Maildir/cur"];
    for (const name of directories) mkdirSync(join(home, name), { recursive: true, mode: 0o700 });
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(join(home, name), text, { mode: 0o600 });
    }
    for (const name of [...directories, ...Object.keys(files)]) {
      chownSync(join(home, name), uid, GID);
    }
    return home;
  }

  assign(users: readonly (readonly [name: string, uid: number])[]): void {
    const lines = users.map(([name, uid]) => {
      const home = join(this.path, "homes", `u${uid}`);
      return `=${name}:${name}:${uid}:${GID}:${home}:::\n+${name}-:${name}:${uid}:${GID}:${home}:-::\n`;
    });
    this.write("users/assign", `${lines.join("")}.\n`);
    newu(this.path);
  }
}

/** The tests, as parts of `t`. */
export async function asRoot(t: TestContext): Promise<void> {
  await t.test("a delivery has the uid and gid of users/assign, and no other group", async () => {
    using home = new RootHome();
    const files = { ".qmail-id": "|id -u; id -g; id -G\n", ".qmail-worker": "|echo $PPID\n" };
    for (const uid of [FIRST_UID, FIRST_UID + 1]) home.user(uid, files);
    home.assign([
      ["one", FIRST_UID],
      ["same", FIRST_UID],
      ["two", FIRST_UID + 1],
      ["root", 0],
    ]);
    await using lspawn = new LspawnProcess(home.path, "./Maildir/");
    assert.equal(
      await lspawn.deliver("one-id@local.test"),
      `K${FIRST_UID}\n${GID}\n${GID}\ndid 0+0+1\n`,
    );
    assert.equal(
      await lspawn.deliver("two-id@local.test"),
      `K${FIRST_UID + 1}\n${GID}\n${GID}\ndid 0+0+1\n`,
    );
    const worker = async (name: string) =>
      Number.parseInt((await lspawn.deliver(`${name}-worker@local.test`)).slice(1), 10);
    const [one, same, two] = [await worker("one"), await worker("same"), await worker("two")];
    assert.equal(one, same);
    assert.notEqual(one, two);
    assert.equal(processInfo(one)?.uid, FIRST_UID);
    assert.equal(processInfo(two)?.uid, FIRST_UID + 1);
    assert.equal(
      await lspawn.deliver("root@local.test"),
      "ZNot allowed to perform deliveries as root.\n",
    );
    await lspawn.deliver("one@local.test");
    const stored = join(home.path, "homes", `u${FIRST_UID}`, "Maildir/new");
    const [file] = readdirSync(stored);
    const { uid, gid, mode } = statSync(join(stored, file ?? ""));
    assert.deepEqual([uid, gid, mode & 0o777], [FIRST_UID, GID, 0o600]);
  });

  await t.test("what only the user may or may not see, explain sees as the user does", async () => {
    using home = new RootHome();
    const path = home.user(FIRST_UID, {
      ".qmail-closed": "./Maildir/\n",
      ".qmail-far": "./far/\n",
    });
    chownSync(join(path, ".qmail-closed"), 0, 0);
    mkdirSync(join(path, "far/new"), { recursive: true, mode: 0o700 });
    home.assign([["one", FIRST_UID]]);
    await using lspawn = new LspawnProcess(home.path, "./Maildir/");
    const outcomes = {
      one: "K",
      "one-closed": "ZUnable to open .qmail-closed: access denied. (#4.3.0)\n",
      "one-far": "ZUnable to chdir to maildir. (#4.2.1)\n",
      "one-none": "DSorry, no mailbox here by that name. (#5.1.1)\n",
    };
    for (const [local, expected] of Object.entries(outcomes)) {
      const { report } = await walk(openSite(home.path), `${local}@local.test`);
      assert.equal(report.status + report.text, expected);
      const delivered = await lspawn.deliver(`${local}@local.test`);
      assert.equal(delivered, expected === "K" ? "Kdid 1+0+0\n" : expected);
    }
    // A home that its user cannot enter.
    chownSync(path, 0, 0);
    const unreachable = `ZUnable to switch to ${path}: access denied. (#4.3.0)\n`;
    const { report } = await walk(openSite(home.path), "one@local.test");
    assert.equal(report.status + report.text, unreachable);
    assert.equal(await lspawn.deliver("one@local.test"), unreachable);
  });

  await t.test("one user's programs that sleep keep no slot from others", async () => {
    using home = new RootHome();
    const sleep = `|while ! test -e ${home.path}/go; do sleep 0.1; done\n`;
    home.user(FIRST_UID, { ".qmail-sleep": sleep });
    home.user(FIRST_UID + 1);
    home.assign([
      ["one", FIRST_UID],
      ["two", FIRST_UID + 1],
    ]);
    await using lspawn = new LspawnProcess(home.path, "./Maildir/");
    lspawn.limit(10);
    const asleep = Array.from({ length: 10 }, () => lspawn.deliver("one-sleep@local.test"));
    // Half of the slots are the others' after a moment.
    await lspawn.waiting(5);
    const order: number[] = [];
    const more = Array.from({ length: 20 }, async (_, at) => {
      const report = await lspawn.deliver("one-sleep@local.test");
      order.push(at);
      return report;
    });
    await lspawn.waiting(25);
    for (let at = 0; at < 5; at++) {
      assert.equal(await lspawn.deliver("two@local.test"), "Kdid 1+0+0\n");
    }
    assert.deepEqual(order, []);
    home.write("go", "");
    chmodSync(join(home.path, "go"), 0o644);
    const reports = new Set(await Promise.all([...asleep, ...more]));
    assert.deepEqual([...reports], ["Kdid 0+0+1\n"]);
    await lspawn.waiting(0);
  });

  await t.test(`mail for ${USERS} uids leaves no more workers than may be idle`, async () => {
    using home = new RootHome();
    const users = Array.from({ length: USERS }, (_, at) => [`u${at}`, FIRST_UID + at] as const);
    for (const [, uid] of users) home.user(uid);
    home.assign(users);
    await using lspawn = new LspawnProcess(home.path, "./Maildir/");
    const most = idleMax(process.availableMemory()) + AT_ONCE;
    const before = lspawn.descriptors();
    for (let at = 0; at < USERS; at += AT_ONCE) {
      const some = users.slice(at, at + AT_ONCE);
      const reports = await Promise.all(some.map(([name]) => lspawn.deliver(`${name}@local.test`)));
      assert.deepEqual([...new Set(reports)], ["Kdid 1+0+0\n"]);
      // One that was let go may need a moment to leave.
      assert.ok(lspawn.workers().length <= most + AT_ONCE);
    }
    for (const [, uid] of users) {
      const stored = join(home.path, "homes", `u${uid}`, "Maildir/new");
      const files = readdirSync(stored);
      assert.equal(files.length, 1);
      assert.equal(statSync(join(stored, files[0] ?? "")).uid, uid);
    }
    // A descriptor for each worker, and the pipe's other needs.
    assert.ok(lspawn.descriptors() <= before + most + AT_ONCE);
  });
}
