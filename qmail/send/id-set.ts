/** Ids that are looked for among very many: most of those that are not meant are told by 16 of their bits. */

import { endianness } from "node:os";
import type { MessId } from "../queue/fmtqfn.ts";

const BITS = 0xffff;
/** Which of the four halves of a number has them. */
const LOW = endianness() === "LE" ? 0 : 3;

export class IdSet {
  readonly #ids: ReadonlySet<bigint>;
  readonly #low = new Uint8Array(BITS + 1);

  constructor(ids: Iterable<MessId>) {
    this.#ids = new Set(Array.from(ids, BigInt));
    for (const id of this.#ids) this.#low[Number(id & BigInt(BITS))] = 1;
  }

  /** Where in the first `size` of `all` these ids are, from the least place on. */
  placesIn(all: BigUint64Array, size: number): number[] {
    const halves = new Uint16Array(all.buffer, all.byteOffset, size * 4);
    const places: number[] = [];
    for (let at = 0; at < size; at++) {
      if (this.#low[halves[at * 4 + LOW] as number] === 1 && this.#ids.has(all[at] as bigint)) {
        places.push(at);
      }
    }
    return places;
  }
}
