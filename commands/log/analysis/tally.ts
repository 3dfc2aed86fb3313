/**
 * Sums by name: senders, recipients, hosts, reasons. A name is a row of numbers, found by its bytes; it
 * becomes a string when somebody wants to read it. A table keeps at most so many names: past that the
 * lesser ones are added up as "(others)", so that memory is bounded and totals stay true.
 *
 * Names lie end to end in one buffer and sums row by row in one array: a log of a gigabyte has millions
 * of names, and an object for each costs more time to make and to clear away than the line to read.
 */

/** The sums of a row, in their order. A table uses what it needs. */
export const SUM = {
  messages: 0,
  bytes: 1,
  /** Bytes delivered: once for each recipient who got them. */
  sbytes: 2,
  /** Bytes times recipients. */
  rbytes: 3,
  successes: 4,
  failures: 5,
  deferrals: 6,
  /** Seconds of delivery attempts. */
  xdelay: 7,
} as const;
/** Sums of a row: eight doubles are one line of the processor's cache. */
export const WIDTH = 8;

/** A row for reading. */
export interface Tally extends Readonly<Record<keyof typeof SUM, number>> {
  readonly name: string;
  readonly recipients: number;
  readonly tries: number;
}

/** How bytes become a name. */
export interface Naming {
  readonly prefix: Uint8Array;
  /** For each byte the one that it counts as. */
  readonly letters: Uint8Array;
}

const EXACT = Uint8Array.from({ length: 256 }, (_, byte) => byte);
const FOLDED = EXACT.map((byte) => (byte >= 65 && byte <= 90 ? byte + 32 : byte));

/** Names with `prefix` before them, in lower case when `fold`. */
export function naming(prefix: string, { fold }: { fold: boolean }): Naming {
  return { prefix: Uint8Array.from(Buffer.from(prefix)), letters: fold ? FOLDED : EXACT };
}

/** The row of what has no row any more. */
export const OTHERS = 0;
const OTHERS_NAME = "(others)";
const PRIME = 0x01000193;
const BASIS = 0x811c9dc5;
/** Of the names that a full table has so many are kept. */
const KEPT = 1 / 4;

export class TallyTable {
  readonly #max: number;
  /** Row by row; to be written by whoever has the row. Becomes another array when the table grows. */
  sums = new Float64Array(1024 * WIDTH);
  /** Is told, when rows have moved, where each is now. */
  moved: (now: Int32Array) => void = () => {};
  #rows = 1;
  #dropped = false;
  /** Where each row's name begins in `#names`; it ends where the next begins. */
  #starts = new Uint32Array(1025);
  #names = new Uint8Array(1 << 16);
  #rowHashes = new Int32Array(1024);
  /** For each slot a row, 0 for none, and beside it the hash, to compare without looking there. */
  #slots = new Int32Array(1 << 12);
  #hashes = new Int32Array(1 << 12);

  constructor(max = 200_000) {
    this.#max = max;
  }

  /** Every name's sums, and the others'. */
  all(): Tally[] {
    const from = this.#dropped ? OTHERS : OTHERS + 1;
    return Array.from({ length: this.#rows - from }, (_, at) => this.#tally(from + at));
  }

  /** The name of a row. */
  name(row: number): string {
    if (row === OTHERS) return OTHERS_NAME;
    const from = this.#starts[row] as number;
    const { buffer, byteOffset } = this.#names;
    const length = (this.#starts[row + 1] as number) - from;
    return Buffer.from(buffer, byteOffset + from, length).toString("latin1");
  }

  /** The row of the bytes from `from` to `to`, named so. It holds until `moved` is called. */
  row(bytes: Uint8Array, from: number, to: number, { prefix, letters }: Naming): number {
    const hash = hashOf(bytes, from, to, letters, BASIS ^ prefix.length);
    const mask = this.#slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const row = this.#slots[slot] as number;
      if (row === 0) break;
      if (this.#hashes[slot] === hash && this.#isName(row, bytes, from, to, prefix, letters)) {
        return row;
      }
    }
    return this.#insert(hash, bytes, from, to, prefix, letters);
  }

  /** Adds to the sum `sum` of `row`. */
  add(row: number, sum: number, value: number): void {
    const at = row * WIDTH + sum;
    this.sums[at] = (this.sums[at] as number) + value;
  }

  #tally(row: number): Tally {
    const at = (sum: number) => this.sums[row * WIDTH + sum] as number;
    const [successes, failures, deferrals] = [
      at(SUM.successes),
      at(SUM.failures),
      at(SUM.deferrals),
    ];
    return {
      name: this.name(row),
      messages: at(SUM.messages),
      bytes: at(SUM.bytes),
      sbytes: at(SUM.sbytes),
      rbytes: at(SUM.rbytes),
      successes,
      failures,
      deferrals,
      xdelay: at(SUM.xdelay),
      recipients: successes + failures,
      tries: successes + failures + deferrals,
    };
  }

  #isName(
    row: number,
    bytes: Uint8Array,
    from: number,
    to: number,
    prefix: Uint8Array,
    letters: Uint8Array,
  ): boolean {
    const names = this.#names;
    let at = this.#starts[row] as number;
    if ((this.#starts[row + 1] as number) - at !== prefix.length + to - from) return false;
    for (let i = 0; i < prefix.length; i++) if (names[at++] !== prefix[i]) return false;
    for (let i = from; i < to; i++) {
      if (names[at++] !== letters[bytes[i] as number]) return false;
    }
    return true;
  }

  #insert(
    hash: number,
    bytes: Uint8Array,
    from: number,
    to: number,
    prefix: Uint8Array,
    letters: Uint8Array,
  ): number {
    if (this.#rows > this.#max) this.#dropLesser();
    const row = this.#rows++;
    const start = this.#starts[row] as number;
    this.#makeRoom(start + prefix.length + to - from);
    this.#names.set(prefix, start);
    let at = start + prefix.length;
    for (let i = from; i < to; i++) this.#names[at++] = letters[bytes[i] as number] as number;
    this.#starts[row + 1] = at;
    this.#rowHashes[row] = hash;
    if (this.#rows * 2 > this.#slots.length) this.#rebuild(this.#slots.length * 2);
    else this.#place(row, hash);
    return row;
  }

  #makeRoom(nameBytes: number): void {
    if (this.#rows * WIDTH > this.sums.length) {
      this.sums = grown(this.sums, this.sums.length * 2);
      this.#starts = grown(this.#starts, this.sums.length / WIDTH + 1);
      this.#rowHashes = grown(this.#rowHashes, this.sums.length / WIDTH);
    }
    if (nameBytes > this.#names.length) {
      this.#names = grown(this.#names, Math.max(nameBytes, this.#names.length * 2));
    }
  }

  /** Keeps the heaviest rows, in their order. */
  #dropLesser(): void {
    const weights = Float64Array.from({ length: this.#rows }, (_, row) => this.#weight(row));
    const sorted = weights.slice(1).sort();
    const kept = Math.floor(this.#max * KEPT);
    const least = sorted[sorted.length - kept] as number;
    const heavier = sorted.length - 1 - sorted.findLastIndex((weight) => weight <= least);
    // Of those that weigh as much as the last one kept there is room for so many.
    let equals = kept - heavier;
    const now = new Int32Array(this.#rows);
    let rows = 1;
    for (let row = 1; row < this.#rows; row++) {
      const weight = weights[row] as number;
      const stays = weight > least || (weight === least && equals-- > 0);
      if (stays) this.#move(row, rows);
      else this.#addToOthers(row);
      now[row] = stays ? rows++ : OTHERS;
    }
    this.#rows = rows;
    this.sums.fill(0, rows * WIDTH);
    this.#dropped = true;
    this.#rebuild(this.#slots.length);
    this.moved(now);
  }

  #weight(row: number): number {
    const { sums } = this;
    const at = row * WIDTH;
    return (
      (sums[at + SUM.messages] as number) +
      (sums[at + SUM.successes] as number) +
      (sums[at + SUM.failures] as number) +
      (sums[at + SUM.deferrals] as number)
    );
  }

  #move(row: number, to: number): void {
    if (row === to) return;
    this.sums.copyWithin(to * WIDTH, row * WIDTH, (row + 1) * WIDTH);
    const from = this.#starts[row] as number;
    const end = this.#starts[row + 1] as number;
    const start = this.#starts[to] as number;
    this.#names.copyWithin(start, from, end);
    this.#starts[to + 1] = start + end - from;
    this.#rowHashes[to] = this.#rowHashes[row] as number;
  }

  #addToOthers(row: number): void {
    for (let sum = 0; sum < WIDTH; sum++) {
      this.add(OTHERS, sum, this.sums[row * WIDTH + sum] as number);
    }
  }

  #rebuild(size: number): void {
    if (size > this.#slots.length) {
      this.#slots = new Int32Array(size);
      this.#hashes = new Int32Array(size);
    } else this.#slots.fill(0);
    for (let row = 1; row < this.#rows; row++) {
      this.#place(row, this.#rowHashes[row] as number);
    }
  }

  #place(row: number, hash: number): void {
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = row;
    this.#hashes[slot] = hash;
  }
}

/** Four bytes a step: one multiplication waits for the one before. */
function hashOf(
  bytes: Uint8Array,
  from: number,
  to: number,
  letters: Uint8Array,
  basis: number,
): number {
  let hash = basis;
  let at = from;
  for (; at + 4 <= to; at += 4) {
    const four =
      (letters[bytes[at] as number] as number) |
      ((letters[bytes[at + 1] as number] as number) << 8) |
      ((letters[bytes[at + 2] as number] as number) << 16) |
      ((letters[bytes[at + 3] as number] as number) << 24);
    hash = Math.imul(hash ^ four, PRIME);
    hash ^= hash >>> 15;
  }
  for (; at < to; at++) {
    hash = Math.imul(hash ^ (letters[bytes[at] as number] as number), PRIME);
  }
  return hash ^ (hash >>> 15);
}

function grown<T extends Float64Array | Uint32Array | Int32Array | Uint8Array>(
  array: T,
  length: number,
): T {
  const larger = new (array.constructor as new (length: number) => T)(length);
  larger.set(array);
  return larger;
}
