/**
 * Shared directory syncs (group commit).
 *
 * A sync covers every name made before it began. So one runs at a time for a directory, and all who
 * come meanwhile share the next: under load one sync serves many messages.
 */

import { closeSync, constants, fsync, openSync } from "node:fs";

interface Waiter {
  resolve(): void;
  reject(error: Error): void;
}

class SharedSync {
  readonly #fd: number;
  #running = false;
  #waiting: Waiter[] = [];

  constructor(fd: number) {
    this.#fd = fd;
  }

  join(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      if (!this.#running) this.#run();
    });
  }

  #run(): void {
    const served = this.#waiting;
    this.#waiting = [];
    this.#running = true;
    fsync(this.#fd, (error) => {
      this.#running = false;
      if (this.#waiting.length > 0) this.#run();
      for (const waiter of served) {
        if (error) waiter.reject(error);
        else waiter.resolve();
      }
    });
  }
}

/** Syncs of directories, shared between those who ask for the same one at the same time. */
export class GroupSync {
  readonly #directories = new Map<string, { fd: number; sync: SharedSync }>();
  readonly #limit: number;

  /** Keeps at most `limit` directories open. */
  constructor(limit = 64) {
    this.#limit = limit;
  }

  /** Resolves when every name made in `directory` before the call is durable; rejects with the system's error. */
  async sync(directory: string): Promise<void> {
    await this.#open(directory).sync.join();
  }

  /** Forgets `directory`, so that one that was removed or replaced is opened anew. */
  forget(directory: string): void {
    const entry = this.#directories.get(directory);
    if (!entry) return;
    this.#directories.delete(directory);
    // A sync under way holds the descriptor in the thread pool: close behind it.
    const close = () => closeSync(entry.fd);
    entry.sync.join().then(close, close);
  }

  #open(directory: string): { fd: number; sync: SharedSync } {
    const known = this.#directories.get(directory);
    if (known) {
      // Last used goes to the end, so that the first is the one to drop.
      this.#directories.delete(directory);
      this.#directories.set(directory, known);
      return known;
    }
    const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
    const entry = { fd, sync: new SharedSync(fd) };
    this.#directories.set(directory, entry);
    if (this.#directories.size > this.#limit) {
      const oldest = this.#directories.keys().next().value;
      if (oldest !== undefined) this.forget(oldest);
    }
    return entry;
  }
}
