/** A real installation in /var/qmail: users, owners, modes, processes, deliveries. Needs root and an unused /var/qmail. */

import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { HIER } from "../../qmail/hier.ts";
import { processInfo } from "../../qmail/supervise/procfs.ts";
import { getgrnam, getpwnam } from "../../qmail/users/passwd.ts";
import { freePort, qmailctl, run } from "./_site.ts";

const HOME = "/var/qmail";
const USER = "qmailctltest";

const skip =
  process.getuid?.() !== 0
    ? "needs root"
    : existsSync(HOME) || getpwnam("qmailq")
      ? `${HOME} or its users exist: not touched`
      : false;

/** The table that qmail's documentation publishes for users (INSTALL.ids). */
const USERS = [
  ["alias", "nofiles", "/var/qmail/alias"],
  ["qmaild", "nofiles", HOME],
  ["qmaill", "nofiles", HOME],
  ["qmailp", "nofiles", HOME],
  ["qmailq", "qmail", HOME],
  ["qmailr", "qmail", HOME],
  ["qmails", "qmail", HOME],
] as const;

/** And for the queue (hier): path, owner, mode; group qmail. */
const QUEUE = [
  ["queue", "qmailq", 0o750],
  ["queue/pid", "qmailq", 0o700],
  ["queue/intd", "qmailq", 0o700],
  ["queue/todo", "qmailq", 0o750],
  ["queue/bounce", "qmails", 0o700],
  ["queue/mess", "qmailq", 0o750],
  ["queue/mess/22", "qmailq", 0o750],
  ["queue/info/0", "qmails", 0o700],
  ["queue/local/7", "qmails", 0o700],
  ["queue/remote/22", "qmails", 0o700],
  ["queue/lock", "qmailq", 0o750],
  ["queue/lock/tcpto", "qmailr", 0o644],
  ["queue/lock/sendmutex", "qmails", 0o600],
  ["queue/lock/trigger", "qmails", 0o622],
  ["alias", "alias", 0o2755],
  ["control", "root", 0o755],
  ["users", "root", 0o755],
  ["bin", "root", 0o755],
  ["boot", "root", 0o755],
] as const;

/** Which user each process must be. */
const PROCESSES = {
  "qmail-send": "qmails",
  "qmail-lspawn": "root",
  "qmail-rspawn": "qmailr",
  "qmail-queue": "qmailq",
  splogger: "qmaill",
  "qmail-smtpd": "qmaild",
} as const;

test("a real installation", { skip }, async (t) => {
  const port = await freePort();
  const directory = "/";
  const ctl = (...args: string[]) => qmailctl(args, { cwd: directory });
  const ok = async (...args: string[]) => {
    const result = await ctl(...args);
    assert.equal(result.code, 0, `${args.join(" ")}: ${result.stderr}${result.stdout}`);
    return result.stdout;
  };
  const hadUser = getpwnam(USER) !== null;
  if (!hadUser) assert.equal((await run("useradd", ["-m", "-s", "/bin/sh", USER])).code, 0);
  const mailbox = join(getpwnam(USER)?.home ?? "", "Mailbox");
  try {
    await ok("install", "--host", "mail.test", "--listen", `127.0.0.1:${port}`);
    await ok("start");

    await t.test("the seven users and two groups", () => {
      for (const [name, group, home] of USERS) {
        const user = getpwnam(name);
        assert.equal(user?.home, home, name);
        assert.equal(user?.gid, getgrnam(group)?.gid, name);
        assert.match(user?.shell ?? "", /\/(false|nologin)$/);
      }
    });

    await t.test("owners and modes as qmail publishes them", () => {
      for (const [path, owner, mode] of QUEUE) {
        const stat = statSync(join(HOME, path));
        assert.equal((stat.mode & 0o7777).toString(8), mode.toString(8), path);
        assert.equal(stat.uid, getpwnam(owner)?.uid, path);
        assert.equal(stat.gid, getgrnam("qmail")?.gid, path);
      }
      assert.equal(HIER.filter(({ path }) => path.startsWith("queue/mess/")).length, 23);
      for (const name of ["postmaster", "mailer-daemon", "root"]) {
        const stat = statSync(join(HOME, `alias/.qmail-${name}`));
        assert.equal(stat.uid, 0);
        assert.equal(stat.mode & 0o777, 0o644);
      }
    });

    await t.test("every process runs as its user", async () => {
      const { services, supervisor } = JSON.parse(await ok("status", "--json"));
      const processes = services.flatMap((service: { processes: unknown[] }) => service.processes);
      for (const [title, user] of Object.entries(PROCESSES)) {
        const found = processes.find((each: { title: string }) => each.title === title);
        assert.ok(found, title);
        const ids = readFileSync(`/proc/${found.pid}/status`, "utf8").match(/^Uid:\s+(.*)$/m)?.[1];
        const uid = String(getpwnam(user)?.uid);
        assert.deepEqual(ids?.split("\t"), [uid, uid, uid, uid], title);
        const groups = readFileSync(`/proc/${found.pid}/status`, "utf8").match(
          /^Groups:(.*)$/m,
        )?.[1];
        if (user !== "root") assert.equal(groups?.trim(), "", `${title} has supplementary groups`);
      }
      assert.equal(processInfo(supervisor)?.uid, 0);
    });

    await t.test("mail by swaks and by sendmail is delivered as the recipient", async () => {
      const swaks = await run("swaks", [
        "--server",
        `127.0.0.1:${port}`,
        "--to",
        `${USER}@mail.test`,
        "--body",
        "by swaks",
      ]);
      assert.equal(swaks.code, 0, swaks.stdout + swaks.stderr);
      const text = `To: ${USER}@mail.test\nSubject: test\n\nby sendmail\n`;
      const sent = await run("su", [USER, "-c", `${HOME}/bin/sendmail -t`], { input: text });
      assert.equal(sent.code, 0, sent.stderr);
      await mailboxHas(mailbox, ["by swaks", "by sendmail"]);
      assert.equal(statSync(mailbox).uid, getpwnam(USER)?.uid);
      const uid = getpwnam(USER)?.uid;
      assert.match(readFileSync(mailbox, "latin1"), new RegExp(`invoked by uid ${uid}\\)`));
    });

    await t.test(
      "sendmail with the daemons stopped: the mail arrives after the next start",
      async () => {
        await ok("stop");
        const text = `To: ${USER}@mail.test\n\nwhile stopped\n`;
        const sent = await run("su", [USER, "-c", `${HOME}/bin/sendmail -t`], { input: text });
        assert.equal(sent.code, 0, sent.stderr);
        await ok("start");
        await mailboxHas(mailbox, ["while stopped"]);
      },
    );

    await t.test(
      "an ordinary user sees neither queue nor drops, and cannot queue another's file",
      async () => {
        for (const path of ["queue/mess", "drop", "run/net"]) {
          assert.notEqual((await run("su", [USER, "-c", `ls ${HOME}/${path}`])).code, 0, path);
        }
        const secret = join(HOME, "secret");
        await run("sh", ["-c", `echo secret > ${secret}; chmod 600 ${secret}`]);
        const linked = await run("su", [USER, "-c", `ln ${secret} ${HOME}/drop/1.2.abc.msg`]);
        rmSync(secret);
        if (linked.code === 0) rmSync(join(HOME, "drop/1.2.abc.msg"));
      },
    );

    await t.test("install again changes nothing", async () => {
      const report = JSON.parse(await ok("install", "--json"));
      const changed = report.steps.flatMap(({ rows }: { rows: { state: string }[] }) =>
        rows.filter(({ state }) => state !== "ok"),
      );
      assert.deepEqual(changed, []);
    });
  } finally {
    await ctl("stop");
    rmSync(HOME, { recursive: true, force: true });
    if (!hadUser) await run("userdel", ["-r", USER]);
    for (const [name] of USERS) await run("userdel", [name]);
    for (const name of ["qmail", "nofiles"]) await run("groupdel", [name]);
  }
});

/** Resolves when the mbox holds all `texts`. */
async function mailboxHas(path: string, texts: readonly string[]): Promise<void> {
  const { watch } = await import("node:fs");
  const has = () => {
    const content = existsSync(path) ? readFileSync(path, "latin1") : "";
    return texts.every((text) => content.includes(text));
  };
  if (has()) return;
  const watcher = watch(join(path, ".."));
  const expired = AbortSignal.timeout(20_000);
  try {
    await new Promise<void>((resolve, reject) => {
      watcher.on("change", () => has() && resolve());
      expired.addEventListener("abort", () => reject(new Error(`not in ${path}: ${texts}`)));
      if (has()) resolve();
    });
  } finally {
    watcher.close();
  }
}
