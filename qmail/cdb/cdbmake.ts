/** Writing constant databases (cdb(5)); cdb.ts has the layout. Pure: the caller writes the file. */

import { cdbHash, HEADER } from "./cdb.ts";

/** Positions are 32 bits. */
const MAX = 0xffff_ffff;

interface Entry {
  readonly hash: number;
  readonly position: number;
}

/**
 * The database with `records` in their order; of several with one key readers find the first. Each hash
 * table has twice as many slots as entries, so a look-up seldom tries more than two. Throws when it would
 * be larger than 4 GiB.
 */
export function makeCdb(records: Iterable<readonly [key: Buffer, data: Buffer]>): Buffer {
  const header = Buffer.alloc(HEADER);
  const parts: Buffer[] = [header];
  const tables: Entry[][] = Array.from({ length: 256 }, () => []);
  let position = HEADER;
  for (const [key, data] of records) {
    const hash = cdbHash(key);
    tables[hash & 255]?.push({ hash, position });
    parts.push(pair(key.length, data.length), key, data);
    position += 8 + key.length + data.length;
    if (position > MAX) throw tooLarge();
  }
  for (const [number, entries] of tables.entries()) {
    const table = hashTable(entries);
    pair(position, table.length / 8).copy(header, number * 8);
    parts.push(table);
    position += table.length;
    if (position > MAX) throw tooLarge();
  }
  return Buffer.concat(parts);
}

function hashTable(entries: readonly Entry[]): Buffer {
  const slots = entries.length * 2;
  const table = Buffer.alloc(slots * 8);
  for (const { hash, position } of entries) {
    let slot = (hash >>> 8) % slots;
    // Position 0 is the header, never a record: the mark of an empty slot.
    while (table.readUInt32LE(slot * 8 + 4) !== 0) slot = (slot + 1) % slots;
    pair(hash, position).copy(table, slot * 8);
  }
  return table;
}

function pair(first: number, second: number): Buffer {
  const two = Buffer.allocUnsafe(8);
  two.writeUInt32LE(first, 0);
  two.writeUInt32LE(second, 4);
  return two;
}

function tooLarge(): RangeError {
  return new RangeError("cannot make cdb: larger than 4 GiB");
}
