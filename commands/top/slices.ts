/** Sums by name over the last five minutes: a table for every ten seconds, of which the oldest is dropped whole. */

const SLICE_MS = 10_000;
const SLICES = 30;
/** Names in a slice; what comes then is added up under one name. */
const NAMES_MAX = 2000;
export const OTHERS = "(others)";

export class Slices<T> {
  readonly #make: () => T;
  /** By number of the slice. */
  readonly #slices = new Map<number, Map<string, T>>();

  constructor(make: () => T) {
    this.#make = make;
  }

  /** What is summed up for `name` at the time `ms`. */
  at(ms: number, name: string): T {
    const number = Math.floor(ms / SLICE_MS);
    let slice = this.#slices.get(number);
    if (!slice) {
      slice = new Map();
      this.#slices.set(number, slice);
      if (this.#slices.size > SLICES) this.#drop();
    }
    const key = slice.has(name) || slice.size < NAMES_MAX ? name : OTHERS;
    let sums = slice.get(key);
    if (sums === undefined) {
      sums = this.#make();
      slice.set(key, sums);
    }
    return sums;
  }

  /** Everything of the five minutes before `now`, put together by `merge`. */
  sum(now: number, merge: (into: T, sums: T) => void): Map<string, T> {
    const all = new Map<string, T>();
    const last = Math.floor(now / SLICE_MS);
    for (const [number, slice] of [...this.#slices].sort(([a], [b]) => a - b)) {
      if (number <= last - SLICES || number > last) continue;
      for (const [name, sums] of slice) {
        const into = all.get(name) ?? this.#make();
        merge(into, sums);
        all.set(name, into);
      }
    }
    return all;
  }

  #drop(): void {
    const last = Math.max(...this.#slices.keys());
    for (const number of this.#slices.keys()) {
      if (number <= last - SLICES) this.#slices.delete(number);
    }
    // Times from a clock that went astray.
    while (this.#slices.size > SLICES) this.#slices.delete(Math.min(...this.#slices.keys()));
  }
}
