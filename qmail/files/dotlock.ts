/**
 * Lock files: `mbox.lock` beside `mbox`, as liblockfile, procmail, maildrop and mutt make them
 * (lockfile_create(3), Debian policy 11.6).
 */

import {
  closeSync,
  linkSync,
  openSync,
  readFileSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { fsPath } from "./bytes.ts";
import { LockBusyError } from "./lock.ts";

/** A lock file this old belongs to nobody (lockfile_create(3)); whoever needs longer touches it. */
const STALE_MS = 5 * 60 * 1000;
const FIRST_WAIT_MS = 20;
const LONGEST_WAIT_MS = 1000;

/** Errors that mean: no lock files here; /var/mail is not ours to make files in, say. */
const NOT_HERE = new Set(["EACCES", "EPERM", "EROFS", "ENAMETOOLONG", "ENOENT", "ENOTDIR"]);

let count = 0;

export class DotLock {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /**
   * Makes the lock file for `path`, a byte string; null where lock files cannot be made. Rejects with
   * LockBusyError when another has it for all of `seconds`, and with the system's error.
   */
  static async take(path: string, seconds: number): Promise<DotLock | null> {
    const lock = `${path}.lock`;
    const until = Date.now() + seconds * 1000;
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
      try {
        if (make(lock)) return new DotLock(lock);
      } catch (error) {
        if (NOT_HERE.has((error as NodeJS.ErrnoException).code ?? "")) return null;
        throw error;
      }
      if (removeStale(lock)) continue;
      const left = until - Date.now();
      if (left <= 0) throw new LockBusyError(`the lock file "${lock}" is there`);
      await sleep(Math.min(wait, left));
    }
  }

  /** Says that we still need it. */
  touch(): void {
    const now = new Date();
    utimesSync(fsPath(this.#path), now, now);
  }

  release(): void {
    remove(this.#path);
  }
}

/** True when the lock file is ours. Linked into place, since O_EXCL alone is not to be trusted on every NFS. */
function make(lock: string): boolean {
  const mine = `${lock}.${hostname().replaceAll("/", "_")}.${process.pid}.${count++}`;
  const fd = openSync(fsPath(mine), "wx", 0o644);
  try {
    // "0": others have no process to ask after, since it may be one of another host. The lines behind are for us.
    writeSync(fd, `0\n${hostname()}\n${process.pid}\n`);
    linkSync(fsPath(mine), fsPath(lock));
    return true;
  } catch (error) {
    // An answer that was lost: the number of names tells.
    if (statSync(fsPath(mine)).nlink === 2) return true;
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    closeSync(fd);
    remove(mine);
  }
}

/** Removes the lock file when nobody can be behind it any more; true when it is worth trying at once. */
function removeStale(lock: string): boolean {
  const stat = statSync(fsPath(lock), { throwIfNoEntry: false });
  if (!stat) return true;
  if (Date.now() - stat.mtimeMs < STALE_MS && !isOrphan(lock)) return false;
  return remove(lock);
}

/**
 * True for a lock file of one of us that has died. Should its process live where we cannot see it, in
 * another pid namespace: it has flock on the mbox, too.
 */
function isOrphan(lock: string): boolean {
  const pid = ownerPid(lock);
  return pid !== null && !isAlive(pid);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
  try {
    // In a container nobody may have waited for it: then it is dead and still has its pid.
    return !/\) Z [^)]*$/.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return true;
  }
}

/** The process of ours on this host that made the lock file; null for any other's. */
function ownerPid(lock: string): number | null {
  try {
    const [, host, pid = ""] = readFileSync(fsPath(lock), "latin1").slice(0, 1000).split("\n");
    return host === hostname() && /^[1-9]\d{0,9}$/.test(pid) ? Number(pid) : null;
  } catch {
    return null;
  }
}

function remove(path: string): boolean {
  try {
    unlinkSync(fsPath(path));
    return true;
  } catch {
    return false;
  }
}
