/**
 * Shared directory syncs (group commit).
 *
 * A sync covers every name made before it began. So one runs at a time for a directory, and all who
 * come meanwhile share the next: under load one sync serves many messages. The directory is opened
 * anew each time, so one that was removed and made again is not mistaken for the old one.
 */

import { closeSync, constants, fsync, openSync, statfsSync } from "node:fs";
import { promisify } from "node:util";

const synced = promisify(fsync);

interface Shared {
  /** Who came while a sync was running: they wait for the next. */
  next: Promise<void> | null;
  running: Promise<void>;
}

export class GroupSync {
  readonly #directories = new Map<string, Shared>();

  /** Resolves when every name made in `directory` before the call is durable; rejects with the system's error. */
  sync(directory: string | Buffer): Promise<void> {
    const key = typeof directory === "string" ? directory : directory.toString("latin1");
    const shared = this.#directories.get(key);
    if (!shared) return this.#begin(directory, key);
    shared.next ??= shared.running.then(
      () => this.#begin(directory, key),
      () => this.#begin(directory, key),
    );
    return shared.next;
  }

  #begin(directory: string | Buffer, key: string): Promise<void> {
    const running = syncOnce(directory);
    const shared: Shared = { next: null, running };
    this.#directories.set(key, shared);
    const leave = () => {
      // Unless somebody waits, and begins the next.
      if (shared.next === null) this.#directories.delete(key);
    };
    running.then(leave, leave);
    return running;
  }
}

async function syncOnce(directory: string | Buffer): Promise<void> {
  // Opening and closing touch memory only: a turn of the thread pool for each would cost more.
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await synced(fd);
  } finally {
    closeSync(fd);
  }
}

/** Types of statfs(2) where fsync of a file also makes durable the names that it got before its last change. */
const CARRIES_NAME: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4: the journal keeps the order; without one the parents are written too
  0x58465342, // xfs: the log is written up to the file's last change, names included
  0x9123683e, // btrfs: the log of a new file has its names
  0x01021994, // tmpfs: nothing survives anyway
]);

/** True when in `directory` the sync of a new file makes its name durable, so that its directory need not be synced. */
export function fsyncCarriesName(directory: string): boolean {
  return CARRIES_NAME.has(statfsSync(directory).type);
}
