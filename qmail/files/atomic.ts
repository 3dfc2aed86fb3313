/**
 * The one way to write a file that others read: a temporary file beside it, synced, renamed over it,
 * and the directory synced. A crash leaves the old file or the new one, never a part.
 */

import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";

const NEW_AND_SYNCED = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_SYNC;

export interface FileOwner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Replaces `path` by a file with `data` and `mode`, owned by `owner` (the caller when absent).
 * Throws the system's error, with nothing left behind.
 */
export function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  options: { readonly mode: number; readonly owner?: FileOwner },
): void {
  const directory = dirname(path);
  // The temporary file lies in the same directory, since rename cannot cross filesystems.
  const temporary = join(directory, temporaryName());
  const fd = openSync(temporary, "wx", 0o600);
  try {
    try {
      const bytes = typeof data === "string" ? Buffer.from(data) : data;
      for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
      if (options.owner) fchownSync(fd, options.owner.uid, options.owner.gid);
      fchmodSync(fd, options.mode);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (error) {
    unlinkSync(temporary);
    throw error;
  }
  syncDirectory(directory);
}

/**
 * Replaces `path` by a file of ours with `data`, for us alone. A power cut leaves the old one or the new one. For a process
 * under Node's permission model, which may not sync what it has open.
 */
export function replaceFile(path: string, data: string): void {
  const temporary = join(dirname(path), temporaryName());
  // Each write is synced.
  const fd = openSync(temporary, NEW_AND_SYNCED, 0o600);
  try {
    try {
      const bytes = Buffer.from(data);
      for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (error) {
    unlinkSync(temporary);
    throw error;
  }
}

/**
 * A name for a file in the making. Chance is in it because pids come back, in containers at every start:
 * what a killed process has left must not be in the way of the next.
 */
export function temporaryName(): string {
  return `.qmailctl.${process.pid}.${randomBytes(6).toString("hex")}`;
}

/** The process that gave a `temporaryName`; null for any other name. */
export function temporaryOwner(name: string): number | null {
  const pid = /^\.qmailctl\.(\d+)\.[0-9a-f]{12}$/.exec(name)?.[1];
  return pid === undefined ? null : Number(pid);
}

/** Makes the names in `directory` durable. */
export function syncDirectory(directory: string | Buffer): void {
  const fd = openSync(directory, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
