/** A real installation in /var/qmail: users, owners, modes, processes, deliveries. Needs root and an unused /var/qmail. */

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, watch } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { BOOT_SCRIPTS } from "../../commands/boot-scripts.ts";
import { closedToOthers } from "../../commands/install/programs.ts";
import { HIER } from "../../qmail/hier.ts";
import type { QmailUser } from "../../qmail/ids.ts";
import { processInfo } from "../../qmail/supervise/procfs.ts";
import { getgrnam, getpwnam } from "../../qmail/users/passwd.ts";
import { asRoot } from "./_as-root.ts";
import { pop3AsRoot } from "./_pop3-as-root.ts";
import { processesAsRoot } from "./_processes-as-root.ts";
import { freePort, LAUNCHER, lacks, qmailctl, run } from "./_site.ts";
import { submissionAsRoot } from "./_submission-as-root.ts";

const HOME = "/var/qmail";
const USER = "qmailctltest";

const skip =
  process.getuid?.() !== 0
    ? "needs root"
    : isUsed(HOME) || getpwnam("qmailq")
      ? `${HOME} or its users exist: not touched`
      : closedToOthers(LAUNCHER)
        ? `${closedToOthers(LAUNCHER)} is closed to the users of the mail system`
        : lacks("useradd", "userdel", "groupdel", "su");

function isUsed(directory: string): boolean {
  return existsSync(directory) && readdirSync(directory).length > 0;
}

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

/** A directory of the queue with its 23 subdirectories. */
function split(path: string, owner: QmailUser, mode: number) {
  const numbers = Array.from({ length: 23 }, (_, number) => `${path}/${number}`);
  return [path, ...numbers].map((each) => [each, owner, mode, "directory"] as const);
}

/** The table that qmail publishes for its files (hier): path, owner, mode, type; group qmail. */
const FILES = [
  [".", "root", 0o755, "directory"],
  ["control", "root", 0o755, "directory"],
  ["users", "root", 0o755, "directory"],
  ["bin", "root", 0o755, "directory"],
  ["boot", "root", 0o755, "directory"],
  ["alias", "alias", 0o2755, "directory"],
  ["queue", "qmailq", 0o750, "directory"],
  ["queue/pid", "qmailq", 0o700, "directory"],
  ["queue/intd", "qmailq", 0o700, "directory"],
  ["queue/todo", "qmailq", 0o750, "directory"],
  ["queue/bounce", "qmails", 0o700, "directory"],
  ...split("queue/mess", "qmailq", 0o750),
  ...split("queue/info", "qmails", 0o700),
  ...split("queue/local", "qmails", 0o700),
  ...split("queue/remote", "qmails", 0o700),
  ["queue/lock", "qmailq", 0o750, "directory"],
  ["queue/lock/tcpto", "qmailr", 0o644, "file"],
  ["queue/lock/sendmutex", "qmails", 0o600, "file"],
  ["queue/lock/trigger", "qmails", 0o622, "fifo"],
  ...BOOT_SCRIPTS.map((name) => [`boot/${name}`, "root", 0o755, "file"] as const),
  ["bin/qmail-start", "root", 0o700, "file"],
  ...["qmail-inject", "sendmail", "qmail-smtpd", "qmail-qread", "qmail-qstat", "forward"].map(
    (name) => [`bin/${name}`, "root", 0o755, "file"] as const,
  ),
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
  const hadHome = existsSync(HOME);
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
      for (const [path, owner, mode, type] of FILES) {
        const stat = statSync(join(HOME, path));
        assert.equal((stat.mode & 0o7777).toString(8), mode.toString(8), path);
        assert.equal(stat.uid, getpwnam(owner)?.uid, path);
        assert.equal(stat.gid, getgrnam("qmail")?.gid, path);
        const is = { directory: stat.isDirectory(), file: stat.isFile(), fifo: stat.isFIFO() };
        assert.ok(is[type], `${path} is no ${type}`);
      }
      assert.equal(statSync(join(HOME, "queue/lock/tcpto")).size, 1024);
      const known = new Set<string>(FILES.map(([path]) => path));
      assert.deepEqual(
        HIER.filter(({ path }) => path.startsWith("queue") && !known.has(path)),
        [],
      );
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

    await t.test("mail by swaks arrives", { skip: lacks("swaks") }, async () => {
      const swaks = await run("swaks", [
        "--server",
        `127.0.0.1:${port}`,
        "--to",
        `${USER}@mail.test`,
        "--body",
        "by swaks",
      ]);
      assert.equal(swaks.code, 0, swaks.stdout + swaks.stderr);
      await mailboxHas(mailbox, ["by swaks"]);
    });

    await t.test("mail by sendmail is delivered as the recipient", async () => {
      const text = `To: ${USER}@mail.test\nSubject: test\n\nby sendmail\n`;
      const sent = await run("su", [USER, "-c", `${HOME}/bin/sendmail -t`], { input: text });
      assert.equal(sent.code, 0, sent.stderr);
      const session = `HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<${USER}@mail.test>\r\nDATA\r\n\r\nby a session\r\n.\r\nQUIT\r\n`;
      const bs = await run("su", [USER, "-c", `${HOME}/bin/sendmail -bs`], { input: session });
      assert.equal(bs.code, 0, bs.stderr);
      assert.match(bs.stdout, /^220 mail\.test .*\r\n(250 .*\r\n){3}354 .*\r\n250 ok .*\r\n221 /);
      await mailboxHas(mailbox, ["by sendmail", "by a session"]);
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

    await t.test("an ordinary user sees neither queue nor drops", async () => {
      for (const path of ["queue/mess", "drop", "run/net"]) {
        assert.notEqual((await run("su", [USER, "-c", `ls ${HOME}/${path}`])).code, 0, path);
      }
    });

    await t.test("an ordinary user is told why the tools refuse", async () => {
      const cases = [
        ["status", /cannot reach the supervisor in \/var\/qmail: .*EACCES/],
        [
          "queue",
          /cannot read the queue: EACCES.*\n {2}the queue is closed to others: run it as root/,
        ],
        ["log", /cannot read the log: EACCES/],
        ["stop", /run it as the user who started the mail server, or as root/],
        ["start", /cannot start the mail server in \/var\/qmail: not its owner/],
      ] as const;
      for (const [verb, expected] of cases) {
        const { code, stderr } = await run(
          "su",
          [USER, "-c", `${process.execPath} ${LAUNCHER} ${verb}`],
          { cwd: "/" },
        );
        assert.ok(code === 100 || code === 111, `${verb}: ${code}`);
        assert.match(stderr, expected);
      }
    });

    await asRoot(t);

    await t.test("install again changes nothing", async () => {
      const report = JSON.parse(await ok("install", "--json"));
      const changed = report.steps.flatMap(({ rows }: { rows: { state: string }[] }) =>
        rows.filter(({ state }) => state !== "ok"),
      );
      assert.deepEqual(changed, []);
    });

    await submissionAsRoot(t, USER);
    await pop3AsRoot(t, USER);
    await processesAsRoot(t, USER);
  } finally {
    await ctl("stop");
    // A mount point cannot be removed, but emptied.
    if (hadHome) for (const name of readdirSync(HOME)) remove(join(HOME, name));
    else remove(HOME);
    if (!hadUser) await run("userdel", ["-r", USER]);
    for (const [name] of USERS) await run("userdel", [name]);
    for (const name of ["qmail", "nofiles"]) await run("groupdel", [name]);
  }
  for (const [name] of USERS) assert.equal(getpwnam(name), null, `${name} is left behind`);
  assert.equal(getgrnam("qmail"), null);
  assert.equal(getgrnam("nofiles"), null);
});

function remove(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

/** Resolves when the mbox holds all `texts`. */
async function mailboxHas(path: string, texts: readonly string[]): Promise<void> {
  const has = () => {
    const content = existsSync(path) ? readFileSync(path, "latin1") : "";
    return texts.every((text) => content.includes(text));
  };
  if (has()) return;
  const watcher = watch(join(path, ".."));
  const expired = AbortSignal.timeout(60_000);
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
