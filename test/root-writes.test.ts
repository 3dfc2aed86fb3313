/**
 * Root writes, gives away and opens nothing by a path below a directory that is not its own: qmail/files/foreign-directory.ts
 * and as-user.ts are for that. Here stands every call that takes a path, with the reason why it may.
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

const CALL =
  /\b(chownSync|lchownSync|chmodSync|lchmodSync|writeFileSync|appendFileSync|truncateSync|utimesSync|lutimesSync|copyFileSync|cpSync|createWriteStream|writeFileAtomic|openSync)\(([^;]*)/g;
/** An opening that can only read. */
const READS = /^[^;]*?("r"|\bO_RDONLY\b|READ_WITHOUT_WAITING)/;

/** Folders whose code runs as the user of its files, or never as root at all. */
const NEVER_ROOT: Readonly<Record<string, string>> = {
  "qmail/forward/": "run by users, from .qmail files",
  "qmail/local/": "runs as the recipient",
  "qmail/log/": "reads standard input",
  "qmail/maildir/": "run by users, on their own mail",
  "qmail/multilog/": "runs as qmaill, or whoever calls it",
  "qmail/ofmipd/": "run by who keeps the database",
  "qmail/pop3d/mailbox.ts": "runs as the user",
  "qmail/remote/": "runs as qmailr",
  "qmail/vacation/": "runs as the user",
};

/** file → the calls in it, and why they may take a path. */
const ALLOWED: Readonly<Record<string, readonly [calls: string, why: string]>> = {
  "commands/install/controls.ts": ["writeFileAtomic", "control/ is root's"],
  "commands/install/step.ts": [
    "writeFileAtomic writeFileAtomic",
    "the home is root's; files by their place in an open directory",
  ],
  "commands/install/users.ts": [
    "writeFileAtomic writeFileAtomic",
    "the home is root's; files by their place in an open directory",
  ],
  "commands/log/report.ts": ["writeFileSync", "the file that the user has named"],
  "commands/queue/export.ts": ["openSync", "a new file that the user has named"],
  "commands/queue/import-forms.ts": ["openSync openSync", "in a new directory of ours"],
  "qmail/checkpassword/relay.ts": ["openSync", "run/relay is root's"],
  "qmail/checkpassword/userfile.ts": ["writeFileAtomic", "users/ is root's"],
  "qmail/files/atomic.ts": ["openSync openSync", "a new file; the callers stand here"],
  "qmail/files/child-output.ts": [
    "openSync",
    "a file of its own without a name, by its descriptor",
  ],
  "qmail/files/dotlock.ts": ["openSync openSync", "beside an mbox, as its user"],
  "qmail/files/foreign-directory.ts": ["chmodSync", "for who is not root"],
  "qmail/files/nameless-file.ts": ["openSync openSync", "a new file under a name of chance"],
  "qmail/net/shared-times.ts": [
    "openSync utimesSync",
    "run/brakes, as qmaild; the helper that is root never writes it",
  ],
  "qmail/pop3d/login-helper.ts": ["chmodSync chownSync", "run/ is root's"],
  "qmail/queue/foreign.ts": ["openSync", "as qmailq, or the caller"],
  "qmail/queue/held.ts": ["writeFileAtomic openSync", "as qmails (asUser)"],
  "qmail/queue/intake.ts": ["openSync openSync openSync", "as qmailq"],
  "qmail/queue/local-queue.ts": ["openSync", "a new file of the caller's in drop"],
  "qmail/queue/made.ts": ["openSync", "as qmailq"],
  "qmail/queue/network-socket.ts": ["chmodSync chownSync", "run/net is root's"],
  "qmail/queue/queue-server.ts": ["chmodSync", "as qmailq"],
  "qmail/queue/repair/carry-out.ts": [
    "writeFileSync openSync",
    "by the place in an open directory, without following links",
  ],
  "qmail/queue/repair/repair.ts": [
    "openSync",
    "by the place in an open directory, without following links",
  ],
  "qmail/send/action-server.ts": ["chmodSync", "as qmails"],
  "qmail/send/queue-files.ts": [
    "utimesSync truncateSync openSync openSync openSync openSync",
    "as qmails (asUser)",
  ],
  "qmail/send/queue-lock.ts": ["openSync", "as qmails"],
  "qmail/send/recipient-file.ts": ["openSync", "as qmails (asUser)"],
  "qmail/send/stopped-queue.ts": ["openSync", "as qmails (asUser)"],
  "qmail/send/todo.ts": ["openSync", "as qmails"],
  "qmail/smtpd/qmail-newmrh.ts": ["writeFileAtomic", "control/ is root's"],
  "qmail/spawn/qmail-rspawn.ts": ["openSync", "as qmailr"],
  "qmail/spawn/spawner.ts": ["openSync", "only reads, without following a link"],
  "qmail/supervise/fifo.ts": ["openSync openSync", "run/ is root's"],
  "qmail/supervise/log-writer.ts": ["chownSync", "run/ is root's"],
  "qmail/supervise/silence.ts": ["openSync", "/dev/null"],
  "qmail/supervise/supervise.ts": ["chmodSync openSync", "run/ is root's"],
  "qmail/supervise/unsupervised.ts": ["openSync", "run/ is root's"],
  "qmail/supervise/voice.ts": ["openSync", "run/ is root's"],
  "qmail/tcpserver/tcprules.ts": ["openSync", "the file that the user has named"],
  "qmail/users/qmail-newu.ts": ["writeFileAtomic", "users/ is root's"],
};

/** The calls in `text` that write by a path, in their order. */
function calls(text: string): string[] {
  const code = text.replace(/^import .*?;$/gms, "").replace(/^export function .*$/gm, "");
  return [...code.matchAll(CALL)].flatMap(([, name = "", args = ""]) =>
    name === "openSync" && READS.test(args.slice(0, 160).split(/\n\s*\}/)[0] ?? "") ? [] : [name],
  );
}

function sources(): string[] {
  return ["cli", "commands", "qmail"].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => `${folder}/${name}`),
  );
}

test("whatever may run as root and writes by a path says why it may", () => {
  const found = sources()
    .filter((name) => !Object.keys(NEVER_ROOT).some((prefix) => name.startsWith(prefix)))
    .map((name) => [name, calls(readFileSync(join(ROOT, name), "utf8")).join(" ")] as const)
    .filter(([, all]) => all !== "");
  const allowed = Object.entries(ALLOWED).map(([name, [all]]) => [name, all] as const);
  assert.deepEqual(Object.fromEntries(found), Object.fromEntries(allowed));
});

test("a call that writes by a path is found, however it is written", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["chownSync(path, 0, 0);", "chownSync"],
    ['openSync(path, "r");', ""],
    ["openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);", ""],
    ['openSync(path, "r+");', "openSync"],
    ["openSync(\n  path,\n  constants.O_WRONLY | constants.O_CREAT,\n);", "openSync"],
    ["const f = () => openSync(path, flags);", "openSync"],
    ["writeFileAtomic(path, text, { mode });", "writeFileAtomic"],
    ["fchownSync(fd, 0, 0); fchmodSync(fd, mode);", ""],
  ];
  for (const [text, expected] of cases) assert.equal(calls(text).join(" "), expected, text);
});
