/**
 * Messages by time: a binary heap (C qmail: prioq.c). A million entries are 17 MB: numbers side by
 * side, no object for each.
 */

import type { MessId } from "../queue/fmtqfn.ts";
import type { IdSet } from "./id-set.ts";

const CAPACITY_MIN = 64;

export interface Entry {
  readonly id: MessId;
  readonly time: number;
  /** The message's file has this time. */
  readonly saved: boolean;
}

export class Prioq {
  #ids = new BigUint64Array(CAPACITY_MIN);
  #times = new Float64Array(CAPACITY_MIN);
  /** 1 where the message's file has this time already. */
  #saved = new Uint8Array(CAPACITY_MIN);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The least time, or Infinity when empty. */
  get minTime(): number {
    return this.#size > 0 ? (this.#times[0] as number) : Number.POSITIVE_INFINITY;
  }

  /** `saved`: the time is the one that the message's file has. */
  insert(id: MessId, time: number, saved = false): void {
    if (this.#size === this.#times.length) this.#resize(this.#size * 2);
    this.#rise(this.#size++, BigInt(id), time, saved ? 1 : 0);
  }

  /** Removes and returns the id with the least time; undefined when empty. */
  shift(): MessId | undefined {
    if (this.#size === 0) return undefined;
    const first = String(this.#ids[0]);
    const last = --this.#size;
    const saved = this.#saved[last] as number;
    this.#sink(0, this.#ids[last] as bigint, this.#times[last] as number, saved);
    const capacity = this.#times.length;
    if (capacity > CAPACITY_MIN && this.#size < capacity / 4) this.#resize(capacity / 2);
    return first;
  }

  /** Takes `id` out before its time; false when it is not there. Looks at all: for what is rare. */
  remove(id: MessId): boolean {
    const at = this.#ids.subarray(0, this.#size).indexOf(BigInt(id));
    if (at < 0) return false;
    const last = --this.#size;
    if (at === last) return true;
    const [moved, time] = [this.#ids[last] as bigint, this.#times[last] as number];
    const saved = this.#saved[last] as number;
    if (time < (this.#times[at] as number)) this.#rise(at, moved, time, saved);
    else this.#sink(at, moved, time, saved);
    return true;
  }

  /** Takes out all that are in `ids`: one look at the whole, however many they are. */
  take(ids: IdSet): Entry[] {
    const taken: Entry[] = [];
    // From the front on: what rises moves only what is before it.
    for (const at of ids.placesIn(this.#ids, this.#size)) {
      const id = this.#ids[at] as bigint;
      const saved = this.#saved[at] as number;
      taken.push({ id: String(id), time: this.#times[at] as number, saved: saved === 1 });
      this.#rise(at, id, Number.NEGATIVE_INFINITY, saved);
    }
    for (let left = taken.length; left > 0; left--) this.shift();
    return taken;
  }

  /** All entries become due at `time`. */
  setAll(time: number): void {
    this.#times.fill(time, 0, this.#size);
    this.#saved.fill(0, 0, this.#size);
  }

  /** Messages whose time is not in their files. */
  *unsaved(): IterableIterator<readonly [MessId, number]> {
    for (let at = 0; at < this.#size; at++) {
      if (this.#saved[at] === 0) yield [String(this.#ids[at]), this.#times[at] as number];
    }
  }

  *[Symbol.iterator](): IterableIterator<readonly [MessId, number]> {
    for (let at = 0; at < this.#size; at++)
      yield [String(this.#ids[at]), this.#times[at] as number];
  }

  #resize(capacity: number): void {
    const ids = new BigUint64Array(capacity);
    const times = new Float64Array(capacity);
    const saved = new Uint8Array(capacity);
    ids.set(this.#ids.subarray(0, this.#size));
    times.set(this.#times.subarray(0, this.#size));
    saved.set(this.#saved.subarray(0, this.#size));
    this.#ids = ids;
    this.#times = times;
    this.#saved = saved;
  }

  /** Puts an entry at the place `at` and lets it rise. */
  #rise(at: number, id: bigint, time: number, saved: number): void {
    let place = at;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if ((this.#times[parent] as number) <= time) break;
      this.#move(parent, place);
      place = parent;
    }
    this.#ids[place] = id;
    this.#times[place] = time;
    this.#saved[place] = saved;
  }

  /** Puts an entry at the place `from` and lets it sink. */
  #sink(from: number, id: bigint, time: number, saved: number): void {
    const times = this.#times;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && (times[child + 1] as number) < (times[child] as number)) {
        child++;
      }
      if ((times[child] as number) >= time) break;
      this.#move(child, at);
      at = child;
    }
    this.#ids[at] = id;
    times[at] = time;
    this.#saved[at] = saved;
  }

  #move(from: number, to: number): void {
    this.#ids[to] = this.#ids[from] as bigint;
    this.#times[to] = this.#times[from] as number;
    this.#saved[to] = this.#saved[from] as number;
  }
}
