/** Both locks of an mbox, or what of them can be had. */

import { DotLock } from "../files/dotlock.ts";
import { LockBusyError, lockWaiting } from "../files/lock.ts";
import type { Machine } from "../files/lock-file.ts";

/** So long we wait for flock with the lock file in hand: whoever takes them the other way round waits for us. */
const FLOCK_SECONDS = 30;
/** A lock file is touched this often while we write. */
const TOUCH_MS = 60_000;

export class Locks {
  readonly #file: DotLock | null;
  readonly #flock: boolean;
  #touched = performance.now();

  private constructor(file: DotLock | null, flock: boolean) {
    this.#file = file;
    this.#flock = flock;
  }

  /**
   * The locks of the mbox `path`, open as `fd`; null: it is not open, and the lock file has to do. Rejects with
   * LockBusyError. The flock ends when `fd` is closed.
   */
  static async take(
    path: string,
    fd: number | null,
    options: { readonly machine: Machine; readonly signal: AbortSignal },
  ): Promise<Locks> {
    const file = await DotLock.take(path, options);
    try {
      return new Locks(file, fd !== null && (await flock(fd, options.signal)));
    } catch (error) {
      file?.release();
      throw error;
    }
  }

  /** Whether nobody else is in the file, so that it may be cut back. */
  get held(): boolean {
    return this.#file !== null || this.#flock;
  }

  touch(): void {
    if (performance.now() - this.#touched < TOUCH_MS) return;
    this.#touched = performance.now();
    this.#file?.touch();
  }

  release(): void {
    this.#file?.release();
  }
}

/** False when the filesystem has no locks: then, as with qmail, the delivery is made all the same. */
async function flock(fd: number, signal: AbortSignal): Promise<boolean> {
  try {
    await lockWaiting(fd, FLOCK_SECONDS, { signal });
    return true;
  } catch (error) {
    if (error instanceof LockBusyError) throw error;
    return false;
  }
}
