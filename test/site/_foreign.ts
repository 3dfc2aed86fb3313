/** A home as root installs it, whose users have numbers of their own and no accounts; and what none of them may touch. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { HIER } from "../../qmail/hier.ts";
import { type Ids, QMAIL_USERS } from "../../qmail/ids.ts";
import { fmtqfn } from "../../qmail/queue/fmtqfn.ts";

export const NEEDS_ROOT = process.getuid?.() === 0 ? false : "needs root";

const FIRST_UID = 64_100;
const uid = Object.fromEntries(QMAIL_USERS.map((name, at) => [name, FIRST_UID + at])) as Ids["uid"];

export const IDS: Ids = {
  sandbox: false,
  uid,
  gid: { qmail: 64_200, nofiles: 64_201 },
  owner: 0,
};

export class ForeignHome implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "qmailctl-foreign-"));
  readonly home = join(this.directory, "home");
  /** Root's, and nobody else's. */
  readonly victim = join(this.directory, "victim");

  constructor() {
    chmodSync(this.directory, 0o755);
    mkdirSync(this.home);
    for (const { path, type, owner, group, mode, size = 0 } of HIER) {
      const full = this.path(path);
      if (path !== "." && type === "directory") mkdirSync(full);
      else if (type === "file") writeFileSync(full, Buffer.alloc(size));
      else if (type === "fifo") assert.equal(spawnSync("mkfifo", [full]).status, 0);
      chownSync(full, owner === "root" ? 0 : IDS.uid[owner], IDS.gid[group]);
      chmodSync(full, mode);
    }
    writeFileSync(this.path("control/me"), "mail.test\n");
    mkdirSync(this.victim, { mode: 0o700 });
    writeFileSync(join(this.victim, "shadow"), "root:secret\n", { mode: 0o600 });
    for (const name of ["1", "messages", "new"]) {
      writeFileSync(join(this.victim, name), "Troot's\0", { mode: 0o600 });
    }
    mkdirSync(join(this.victim, "directory"), { mode: 0o700 });
  }

  path(name: string): string {
    return join(this.home, name);
  }

  /** A message in S5 with a remote recipient. Returns its id and when it was made. */
  message(): { id: string; made: number } {
    const pid = this.path("queue/pid/new");
    writeFileSync(pid, "Subject: x\n\nbody\n", { mode: 0o644 });
    const id = String(statSync(pid).ino);
    renameSync(pid, this.path(`queue/${fmtqfn("mess", id)}`));
    const texts = { info: "Fa@from.test\0", remote: "Tjoe@mail.test\0" };
    for (const kind of ["mess", "info", "remote"] as const) {
      const path = this.path(`queue/${fmtqfn(kind, id)}`);
      if (kind !== "mess") writeFileSync(path, texts[kind], { mode: 0o600 });
      chownSync(path, kind === "mess" ? uid.qmailq : uid.qmails, IDS.gid.qmail);
      utimesSync(path, 1_700_000_000, 1_700_000_000);
    }
    return { id, made: 1_700_000_000_000_000 };
  }

  /** Puts a link to `target` in the place of `name`, as the owner of its directory may; what was there is kept aside. */
  link(name: string, target: string): void {
    const path = this.path(name);
    if (existsSync(path)) renameSync(path, join(dirname(path), `.${basename(path)}.aside`));
    symlinkSync(target, path);
  }

  /** All that can be told of the victim's files. */
  state(): string {
    const lines = [".", ...readdirSync(this.victim, { recursive: true, encoding: "utf8" }).sort()];
    return lines
      .map((name) => {
        const path = join(this.victim, name);
        const { uid, gid, mode, size, mtimeMs } = lstatSync(path);
        const text = lstatSync(path).isFile() ? readFileSync(path, "latin1") : "";
        const target = lstatSync(path).isSymbolicLink() ? readlinkSync(path) : "";
        return [name, uid, gid, mode.toString(8), size, mtimeMs, text, target].join(" ");
      })
      .join("\n");
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
