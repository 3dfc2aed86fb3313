/**
 * Shared directory syncs (group commit).
 *
 * A sync covers every name made before it began. So one runs at a time for a directory, and all who
 * come meanwhile share the next: under load one sync serves many messages. The directory is opened
 * anew each time, so one that was removed and made again is not mistaken for the old one.
 */

import { close, constants, fsync, open } from "node:fs";
import { promisify } from "node:util";

const opened = promisify(open);
const synced = promisify(fsync);
const closed = promisify(close);

interface Shared {
  /** Who came while a sync was running: they wait for the next. */
  next: Promise<void> | null;
  running: Promise<void>;
}

export class GroupSync {
  readonly #directories = new Map<string, Shared>();

  /** Resolves when every name made in `directory` before the call is durable; rejects with the system's error. */
  sync(directory: string): Promise<void> {
    const shared = this.#directories.get(directory);
    if (!shared) return this.#begin(directory);
    shared.next ??= shared.running.then(
      () => this.#begin(directory),
      () => this.#begin(directory),
    );
    return shared.next;
  }

  #begin(directory: string): Promise<void> {
    const running = syncOnce(directory);
    const shared: Shared = { next: null, running };
    this.#directories.set(directory, shared);
    const leave = () => {
      // Unless somebody waits, and begins the next.
      if (shared.next === null) this.#directories.delete(directory);
    };
    running.then(leave, leave);
    return running;
  }
}

async function syncOnce(directory: string): Promise<void> {
  const fd = await opened(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await synced(fd);
  } finally {
    await closed(fd);
  }
}
