/** Whether the queue's filesystem has room for more mail. It is looked at once in a second at most. */

import { statfsSync } from "node:fs";

const LOOK_AGAIN_MS = 1000;

/** What is free, for a user who is not root. */
export interface Free {
  readonly bytes: number;
  /** Infinity on a filesystem that has no fixed number of them. */
  readonly inodes: number;
}

export interface SpaceNeeded {
  /** That must stay free; 0: nobody looks. */
  readonly minFree: number;
  readonly minInodes: number;
}

export class QueueSpace {
  readonly #look: () => Free | null;
  readonly #now: () => number;
  #free: Free | null = null;
  #looked = Number.NEGATIVE_INFINITY;

  /** `look` says what is free, null when that cannot be said; `now` in milliseconds. */
  constructor(look: () => Free | null, now: () => number = () => performance.now()) {
    this.#look = look;
    this.#now = now;
  }

  /** Whether `bytes` more can be taken. */
  has(bytes: number, { minFree, minInodes }: SpaceNeeded): boolean {
    if (minFree === 0 && minInodes === 0) return true;
    if (this.#now() - this.#looked >= LOOK_AGAIN_MS) {
      this.#looked = this.#now();
      this.#free = this.#look();
    }
    if (!this.#free) return true;
    return this.#free.bytes >= minFree + bytes && this.#free.inodes >= minInodes;
  }
}

/** The space of the queue of the installation in `home`; one without a queue has no bound. */
export function queueSpace(home: string): QueueSpace {
  return new QueueSpace(() => freeAt(`${home}/queue`));
}

function freeAt(path: string): Free | null {
  try {
    const { bavail, bsize, files, ffree } = statfsSync(path);
    return { bytes: bavail * bsize, inodes: files === 0 ? Number.POSITIVE_INFINITY : ffree };
  } catch {
    return null;
  }
}
