/**
 * How many files each directory of the queue has, again and again at little cost: a directory that has not
 * changed is not read again, and counting rests so long that it takes a few hundredths of the time at most.
 */

import { readdirSync, statSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { isMessId, SPLIT } from "../../qmail/queue/fmtqfn.ts";

/** Messages by what they have in the queue; one may have both local and remote recipients left. */
export interface QueueCounts {
  /** Not preprocessed yet. */
  readonly todo: number;
  /** Preprocessed. */
  readonly info: number;
  readonly local: number;
  readonly remote: number;
  readonly bounce: number;
}

/** Within this time of its change a directory may change again without its time telling. */
const SETTLED_MS = 1000;
/** Counting takes at most one part in so many of the time. */
const SHARE = 40;

interface Known {
  readonly mtimeMs: number;
  readonly readAt: number;
  readonly count: number;
}

export class QueueCounter {
  readonly #queue: string;
  readonly #known = new Map<string, Known>();
  #next = 0;
  #counting: Promise<void> | null = null;
  /** The last that were counted; null before, and when we may not look. */
  counts: QueueCounts | null = null;
  /** Why there are none; null when there are. */
  trouble: string | null = null;

  constructor(queue: string) {
    this.#queue = queue;
  }

  /** Counts again unless it is too early; resolves when `counts` is as new as it gets. */
  count(now: () => number): Promise<void> {
    if (this.#counting === null && now() < this.#next) return Promise.resolve();
    this.#counting ??= this.#count(now).finally(() => {
      this.#counting = null;
    });
    return this.#counting;
  }

  async #count(now: () => number): Promise<void> {
    const start = now();
    const sums = { todo: 0, info: 0, local: 0, remote: 0, bounce: 0 };
    let busy = 0;
    try {
      for (const name of Object.keys(sums) as (keyof typeof sums)[]) {
        for (const directory of directoriesOf(name)) {
          const begun = now();
          sums[name] += this.#files(`${this.#queue}/${directory}`, begun);
          busy += now() - begun;
          await turn();
        }
      }
      this.counts = sums;
      this.trouble = null;
    } catch (error) {
      this.counts = null;
      this.trouble = (error as Error).message;
    }
    this.#next = start + busy * SHARE;
  }

  #files(path: string, now: number): number {
    const { mtimeMs } = statSync(path);
    const known = this.#known.get(path);
    if (known?.mtimeMs === mtimeMs && known.readAt - mtimeMs > SETTLED_MS) return known.count;
    const count = readdirSync(path).filter(isMessId).length;
    this.#known.set(path, { mtimeMs, readAt: now, count });
    return count;
  }
}

function directoriesOf(name: keyof QueueCounts): string[] {
  if (name === "todo" || name === "bounce") return [name];
  return Array.from({ length: SPLIT }, (_, split) => `${name}/${split}`);
}
