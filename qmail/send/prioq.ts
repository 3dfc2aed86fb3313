/** Messages by time: a binary heap, two arrays deep, so that a million entries stay cheap (C qmail: prioq.c). */

import type { MessId } from "../queue/fmtqfn.ts";

export class Prioq {
  #ids: MessId[] = [];
  #times: number[] = [];

  get size(): number {
    return this.#ids.length;
  }

  /** The least time, or Infinity when empty. */
  get minTime(): number {
    return this.#times[0] ?? Number.POSITIVE_INFINITY;
  }

  insert(id: MessId, time: number): void {
    const ids = this.#ids;
    const times = this.#times;
    let at = ids.length;
    ids.push(id);
    times.push(time);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const parentTime = times[parent] as number;
      if (parentTime <= time) break;
      ids[at] = ids[parent] as MessId;
      times[at] = parentTime;
      at = parent;
    }
    ids[at] = id;
    times[at] = time;
  }

  /** Removes and returns the id with the least time; undefined when empty. */
  shift(): MessId | undefined {
    const first = this.#ids[0];
    const id = this.#ids.pop();
    const time = this.#times.pop();
    if (this.#ids.length > 0) this.#sink(id as MessId, time as number);
    return first;
  }

  /** All entries become due at `time`. */
  setAll(time: number): void {
    this.#times.fill(time);
  }

  *[Symbol.iterator](): IterableIterator<readonly [MessId, number]> {
    for (const [at, id] of this.#ids.entries()) yield [id, this.#times[at] as number];
  }

  /** Puts an entry at the root and lets it sink to its place. */
  #sink(id: MessId, time: number): void {
    const ids = this.#ids;
    const times = this.#times;
    const size = ids.length;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && (times[child + 1] as number) < (times[child] as number)) child++;
      if ((times[child] as number) >= time) break;
      ids[at] = ids[child] as MessId;
      times[at] = times[child] as number;
      at = child;
    }
    ids[at] = id;
    times[at] = time;
  }
}
