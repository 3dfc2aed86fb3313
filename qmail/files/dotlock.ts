/**
 * Lock files: `mbox.lock` beside `mbox`, as liblockfile, procmail, maildrop and mutt make them
 * (lockfile_create(3), Debian policy 11.6). Whose they are and when nobody's says lock-file.ts.
 *
 * A name may be another's from one call to the next. So ours is known by the descriptor of what we made,
 * which also keeps its inode number from coming back, and a file goes in two steps: renamed to a name that
 * nobody else has, looked at once more, and only then removed, or put back if it was not the one that was
 * judged. A flock on the stale file would leave a gap between the last look and the removal for programs that
 * do not take it, and many lock files may not be opened by who may remove them.
 */

import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  futimesSync,
  linkSync,
  lstatSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fsPath } from "./bytes.ts";
import { LockBusyError } from "./lock.ts";
import { isAhead, isNobodys, lockText, type Machine } from "./lock-file.ts";

const FIRST_WAIT_MS = 20;
const LONGEST_WAIT_MS = 1000;
/** Of a lock file so much is read. */
const TEXT_MAX = 1000;

const READ = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;

/** Errors that mean: no lock files here; /var/mail is not ours to make files in, say. */
const NOT_HERE = new Set(["EACCES", "EPERM", "EROFS", "ENAMETOOLONG", "ENOENT", "ENOTDIR"]);

let count = 0;

export class DotLock {
  readonly #path: string;
  /** What we made, whatever has its name now. */
  readonly #fd: number;
  readonly #machine: Machine;

  private constructor(path: string, fd: number, machine: Machine) {
    this.#path = path;
    this.#fd = fd;
    this.#machine = machine;
  }

  /**
   * Makes the lock file for `path`, a byte string; null where lock files cannot be made. Rejects with
   * LockBusyError when `signal` comes before another has left it, and with the system's error.
   */
  static async take(
    path: string,
    { machine, signal }: { readonly machine: Machine; readonly signal: AbortSignal },
  ): Promise<DotLock | null> {
    const lock = `${path}.lock`;
    let atOnce = true;
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
      try {
        const fd = make(lock, machine);
        if (fd !== null) return new DotLock(lock, fd, machine);
      } catch (error) {
        if (NOT_HERE.has((error as NodeJS.ErrnoException).code ?? "")) return null;
        throw error;
      }
      // Once: what NFS remembers of a name may differ from what is there.
      if (removeStale(lock, machine) && atOnce) {
        atOnce = false;
        continue;
      }
      atOnce = true;
      // An early end is seen below.
      await sleep(wait, undefined, { signal }).catch(() => {});
      if (signal.aborted) throw new LockBusyError(`the lock file "${lock}" is there`);
    }
  }

  /** Says that we still need it. */
  touch(): void {
    const now = new Date();
    futimesSync(this.#fd, now, now);
  }

  /** Removes the lock file, if it is still ours. Never throws: what was done under it is done. */
  release(): void {
    try {
      takeAway(this.#path, fstatSync(this.#fd, { bigint: true }), this.#machine);
      closeSync(this.#fd);
    } catch {
      // Of a file that NFS has lost: it is judged by its content.
    }
  }
}

/** A descriptor of the lock file if it is ours now. Linked into place, since O_EXCL alone is not to be trusted on every NFS. */
function make(lock: string, machine: Machine): number | null {
  const mine = besides(lock, machine);
  const fd = openSync(fsPath(mine), "wx", 0o644);
  let made = false;
  try {
    writeSync(fd, lockText(machine, process.pid));
    made = isLinked(mine, lock);
    return made ? fd : null;
  } finally {
    remove(mine);
    if (!made) closeSync(fd);
  }
}

function isLinked(mine: string, lock: string): boolean {
  try {
    linkSync(fsPath(mine), fsPath(lock));
    return true;
  } catch (error) {
    // An answer that was lost: the number of names tells.
    if (statSync(fsPath(mine)).nlink === 2) return true;
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** A name beside the lock file that no other call gives. */
function besides(lock: string, { host }: Machine): string {
  return `${lock}.${host.replaceAll("/", "_")}.${process.pid}.${count++}`;
}

/** Removes the lock file when nobody can be behind it any more; true when it is worth trying at once. */
function removeStale(lock: string, machine: Machine): boolean {
  let fd: number | null = null;
  try {
    fd = opened(lock);
    const stat = look(lock, fd);
    if (!stat) return true;
    if (stat.isDirectory()) return false;
    const text = fd === null ? "" : beginning(fd);
    const file = { path: lock, text, mtimeMs: Number(stat.mtimeNs) / 1e6 };
    if (isNobodys(file, machine)) return takeAway(lock, stat, machine);
    if (fd !== null && isAhead(file, machine)) makeCount(fd, machine);
    return false;
  } finally {
    if (fd !== null) closeSync(fd);
  }
}

/** Null when it cannot be read: then it is judged by its time. */
function opened(lock: string): number | null {
  try {
    return openSync(fsPath(lock), READ);
  } catch {
    return null;
  }
}

/** What has the name, itself and not what it may point to; null when there is none. */
function look(lock: string, fd: number | null): BigIntStats | null {
  if (fd !== null) return fstatSync(fd, { bigint: true });
  return lstatSync(fsPath(lock), { bigint: true, throwIfNoEntry: false }) ?? null;
}

function beginning(fd: number): string {
  const bytes = Buffer.alloc(TEXT_MAX);
  try {
    return bytes.toString("latin1", 0, readSync(fd, bytes, 0, TEXT_MAX, 0));
  } catch {
    return "";
  }
}

/** A time ahead of the clock is set to now: from here on its minutes count. Whoever may be behind it loses nothing. */
function makeCount(fd: number, machine: Machine): void {
  try {
    const now = new Date(machine.now());
    futimesSync(fd, now, now);
  } catch {
    // Not ours to touch: then the clock must come there.
  }
}

/** Removes the lock file if it is `judged`; true when that is gone. */
function takeAway(lock: string, judged: BigIntStats, machine: Machine): boolean {
  const aside = besides(lock, machine);
  try {
    const there = look(lock, null);
    if (!there) return true;
    if (!isSame(there, judged)) return false;
    renameSync(fsPath(lock), fsPath(aside));
    const moved = look(aside, null);
    if (!moved || isSame(moved, judged)) return remove(aside);
  } catch {
    return false;
  }
  putBack(aside, lock);
  return false;
}

/** Another's, made since we looked last. Should a third have come meanwhile, flock has to do between them. */
function putBack(aside: string, lock: string): void {
  try {
    linkSync(fsPath(aside), fsPath(lock));
  } catch {
    // There is one again.
  }
  remove(aside);
}

/** The time says whether it was touched since. */
function isSame(one: BigIntStats, other: BigIntStats): boolean {
  return one.ino === other.ino && one.dev === other.dev && one.mtimeNs === other.mtimeNs;
}

function remove(path: string): boolean {
  try {
    unlinkSync(fsPath(path));
    return true;
  } catch {
    return false;
  }
}
