/**
 * Until when something counts, by key, for all processes of one user: a directory of empty files, each with that
 * time as its modification time. Two who write the same at once may lose one of their changes, and nothing else.
 */

import { createHash } from "node:crypto";
import { closeSync, openSync, readdirSync, statSync, unlinkSync, utimesSync } from "node:fs";
import { join } from "node:path";

/** Where times are kept; in seconds since 1970. A Map is one, for a single process. */
export interface Times {
  get(key: string): number | undefined;
  set(key: string, until: number): unknown;
}

/** So many files are kept; those that count for the shortest time go first. */
const FILES_MAX = 20_000;
/** New files after which the old ones are looked through. */
const LOOK_EVERY = 1000;

export interface SharedTimesOptions {
  /** Hears once that the directory cannot be used, so that the times count for this process alone. */
  warn(text: string): void;
  /** For tests. */
  readonly most?: number;
}

export class SharedTimes implements Times {
  readonly #directory: string;
  readonly #options: SharedTimesOptions;
  /** What could not be written. */
  readonly #own = new Map<string, number>();
  #made = 0;

  constructor(directory: string, options: SharedTimesOptions) {
    this.#directory = directory;
    this.#options = options;
  }

  get(key: string): number | undefined {
    try {
      return statSync(this.#path(key)).mtimeMs / 1000;
    } catch {
      return this.#own.get(key);
    }
  }

  set(key: string, until: number): void {
    const path = this.#path(key);
    try {
      if (!touched(path, until)) this.#make(path, until);
    } catch (error) {
      if (this.#own.size === 0) this.#options.warn((error as Error).message);
      if (this.#own.size >= (this.#options.most ?? FILES_MAX)) this.#own.clear();
      this.#own.set(key, until);
    }
  }

  #make(path: string, until: number): void {
    closeSync(openSync(path, "a", 0o600));
    touched(path, until);
    const { most = FILES_MAX } = this.#options;
    if (++this.#made < Math.min(LOOK_EVERY, most)) return;
    this.#made = 0;
    removeOldest(this.#directory, most);
  }

  /** A key is anything that a client has said: no name for a file, and nobody's business. */
  #path(key: string): string {
    return join(this.#directory, createHash("sha256").update(key, "latin1").digest("hex"));
  }
}

/** False when there is no such file. */
function touched(path: string, until: number): boolean {
  try {
    utimesSync(path, until, until);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return false;
  }
}

function removeOldest(directory: string, most: number): void {
  const now = Date.now() / 1000;
  const files = readdirSync(directory)
    .map((name) => join(directory, name))
    .map((path) => ({ path, until: untilOf(path) }))
    .sort((a, b) => b.until - a.until);
  for (const [at, { path, until }] of files.entries()) {
    if (at >= most || until < now) removeFile(path);
  }
}

function untilOf(path: string): number {
  return (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) / 1000;
}

/** Another process may have been quicker. */
function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
