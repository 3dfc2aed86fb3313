/**
 * Exclusive locks as qmail's C programs take them: flock(2) on the open file.
 *
 * Node has no flock. The flock(1) program gets our descriptor as its 3 and locks the open file
 * description itself, so the lock stays ours after it has left, until we close the file or die.
 */

import { type StdioOptions, spawn, spawnSync } from "node:child_process";

/** Another process held the lock for as long as we would wait. */
export class LockBusyError extends Error {}

/** flock's exit code when the lock is held by another. */
const BUSY = 1;

/**
 * Locks the open file `fd` without waiting. Returns false when another process holds it.
 * Throws when the system has no flock program or the lock fails for another reason.
 */
export function lockExclusive(fd: number): boolean {
  const result = spawnSync("flock", ["-x", "-n", "3"], { stdio: stdio(fd), env: env() });
  if (result.error) throw missing(result.error);
  if (result.status === 0) return true;
  if (result.status === BUSY) return false;
  throw new Error(`cannot lock: flock: ${String(result.stderr).trim()}`);
}

/**
 * Locks the open file `fd`, waiting at most `seconds`, and not beyond `signal`. Rejects with LockBusyError
 * when that was not enough, and as `lockExclusive` otherwise.
 */
export function lockWaiting(
  fd: number,
  seconds: number,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  const busy = () => new LockBusyError("the lock is held by another process");
  return new Promise((resolve, reject) => {
    const args = ["-x", "-w", String(seconds), "3"];
    const child = spawn("flock", args, { stdio: stdio(fd), env: env(), ...(signal && { signal }) });
    child.on("error", (error) => reject(signal?.aborted ? busy() : missing(error)));
    child.on("exit", (code) => {
      if (code === 0) resolve();
      else if (code === BUSY || signal?.aborted) reject(busy());
      else reject(new Error(`cannot lock: flock left with ${code}`));
    });
  });
}

function stdio(fd: number): StdioOptions {
  return ["ignore", "ignore", "pipe", fd];
}

function env(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH ?? "/usr/bin:/bin" };
}

function missing(cause: Error): Error {
  return new Error("cannot lock: the program flock is missing (package util-linux or busybox)", {
    cause,
  });
}
