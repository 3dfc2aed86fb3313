/**
 * Sums by name: senders, recipients, hosts, reasons. Names are found by their bytes, so that only a
 * new one becomes a string. A table keeps at most so many names: past that the lesser half is added up
 * as "(others)", so that memory is bounded and totals stay true.
 */

/** What is summed up for a name; a table uses what it needs. */
export class Tally {
  readonly name: string;
  readonly hash: number;
  /** Where sums go when this name was dropped from its table. */
  into: Tally | null = null;
  messages = 0;
  bytes = 0;
  /** Bytes delivered: once for each recipient who got them. */
  sbytes = 0;
  /** Bytes times recipients. */
  rbytes = 0;
  successes = 0;
  failures = 0;
  deferrals = 0;
  /** Seconds of delivery attempts. */
  xdelay = 0;

  constructor(name: string, hash: number) {
    this.name = name;
    this.hash = hash;
  }

  get recipients(): number {
    return this.successes + this.failures;
  }

  get tries(): number {
    return this.successes + this.failures + this.deferrals;
  }

  add(other: Tally): void {
    this.messages += other.messages;
    this.bytes += other.bytes;
    this.sbytes += other.sbytes;
    this.rbytes += other.rbytes;
    this.successes += other.successes;
    this.failures += other.failures;
    this.deferrals += other.deferrals;
    this.xdelay += other.xdelay;
  }
}

/** The tally that sums for `tally` go to now. */
export function live(tally: Tally): Tally {
  return tally.into ?? tally;
}

/** How bytes become a name. */
export interface Naming {
  readonly prefix: string;
  /** In lower case. */
  readonly fold: boolean;
}

const EXACT = Uint8Array.from({ length: 256 }, (_, byte) => byte);
const FOLDED = EXACT.map((byte) => (byte >= 65 && byte <= 90 ? byte + 32 : byte));

const FNV_PRIME = 0x01000193;
const FNV_BASIS = 0x811c9dc5;

export class TallyTable {
  readonly #max: number;
  /** Index of a tally and one, or 0; and beside it its hash, for comparing without looking there. */
  #slots = new Int32Array(1 << 12);
  #hashes = new Int32Array(1 << 12);
  #tallies: Tally[] = [];
  /** What the dropped names had; null as long as none was dropped. */
  others: Tally | null = null;

  constructor(max = 200_000) {
    this.#max = max;
  }

  /** Every name's sums, and the others'. */
  all(): Tally[] {
    return this.others ? [...this.#tallies, this.others] : this.#tallies;
  }

  /** The tally of `prefix` and the bytes from `from` to `to`, in lower case when `fold`. */
  get(bytes: Uint8Array, from: number, to: number, { prefix, fold }: Naming): Tally {
    const letters = fold ? FOLDED : EXACT;
    let hash = FNV_BASIS ^ prefix.length;
    for (let at = from; at < to; at++) {
      hash = Math.imul(hash ^ (letters[bytes[at] as number] as number), FNV_PRIME);
    }
    hash ^= hash >>> 15;
    const mask = this.#slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const index = (this.#slots[slot] as number) - 1;
      if (index < 0) break;
      if (this.#hashes[slot] !== hash) continue;
      const tally = this.#tallies[index] as Tally;
      if (equal(tally.name, bytes, from, to, prefix, letters)) return tally;
    }
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("latin1");
    return this.#insert(new Tally(prefix + (fold ? lower(text) : text), hash));
  }

  #insert(tally: Tally): Tally {
    if (this.#tallies.length >= this.#max) this.#dropLesserHalf();
    this.#tallies.push(tally);
    if (this.#tallies.length * 2 > this.#slots.length) this.#rebuild(this.#slots.length * 2);
    else this.#place(tally, this.#tallies.length);
    return tally;
  }

  #dropLesserHalf(): void {
    this.others ??= new Tally("(others)", 0);
    this.#tallies.sort((a, b) => weight(b) - weight(a));
    for (const tally of this.#tallies.splice(this.#max >> 1)) {
      this.others.add(tally);
      tally.into = this.others;
    }
    this.#rebuild(this.#slots.length);
  }

  #rebuild(size: number): void {
    this.#slots = new Int32Array(size);
    this.#hashes = new Int32Array(size);
    for (const [at, tally] of this.#tallies.entries()) this.#place(tally, at + 1);
  }

  #place(tally: Tally, index: number): void {
    const mask = this.#slots.length - 1;
    let slot = tally.hash & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = index;
    this.#hashes[slot] = tally.hash;
  }
}

function weight(tally: Tally): number {
  return tally.messages + tally.tries;
}

function lower(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

function equal(
  name: string,
  bytes: Uint8Array,
  from: number,
  to: number,
  prefix: string,
  letters: Uint8Array,
): boolean {
  const skip = prefix.length;
  if (name.length !== to - from + skip) return false;
  for (let at = from, i = skip; at < to; at++, i++) {
    if (name.charCodeAt(i) !== letters[bytes[at] as number]) return false;
  }
  return name.startsWith(prefix);
}
