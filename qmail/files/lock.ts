/**
 * Exclusive locks as qmail's C programs take them: flock(2) on the open file.
 *
 * Node has no flock. The flock(1) program gets our descriptor as its 3 and locks the open file
 * description itself, so the lock stays ours after it has left, until we close the file or die.
 */

import { spawnSync } from "node:child_process";

/**
 * Locks the open file `fd` without waiting. Returns false when another process holds it.
 * Throws when the system has no flock program or the lock fails for another reason.
 */
export function lockExclusive(fd: number): boolean {
  const result = spawnSync("flock", ["-x", "-n", "3"], {
    stdio: ["ignore", "ignore", "pipe", fd],
    env: { PATH: process.env.PATH ?? "/usr/bin:/bin" },
  });
  if (result.error) {
    throw new Error("cannot lock: the program flock is missing (package util-linux or busybox)", {
      cause: result.error,
    });
  }
  if (result.status === 0) return true;
  if (result.status === 1) return false;
  throw new Error(`cannot lock: flock: ${String(result.stderr).trim()}`);
}
