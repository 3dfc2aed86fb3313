/**
 * Reading constant databases (cdb), in the format that cdbmake, qmail-newu and tcprules write.
 *
 * A header of 256 pairs (position, slots), records (key length, data length, key, data), then hash
 * tables of (hash, position). All numbers are 32 bits, little-endian.
 */

import { readFileSync, statSync } from "node:fs";

const HEADER = 2048;

/** D. J. Bernstein's hash of `key`. */
export function cdbHash(key: Uint8Array): number {
  let hash = 5381;
  for (const byte of key) hash = (((hash << 5) + hash) ^ byte) >>> 0;
  return hash;
}

/** The data of the first record for `key` in the database `cdb`; null when there is none. Throws on a broken one. */
export function cdbGet(cdb: Buffer, key: Buffer): Buffer | null {
  if (cdb.length < HEADER) throw new Error("cannot read cdb: shorter than its header");
  const hash = cdbHash(key);
  const entry = (hash & 255) * 8;
  const table = cdb.readUInt32LE(entry);
  const slots = cdb.readUInt32LE(entry + 4);
  for (let tried = 0; tried < slots; tried++) {
    const slot = table + (((hash >>> 8) + tried) % slots) * 8;
    const position = cdb.readUInt32LE(slot + 4);
    if (position === 0) return null;
    if (cdb.readUInt32LE(slot) !== hash) continue;
    const keyLength = cdb.readUInt32LE(position);
    const data = position + 8 + keyLength;
    if (cdb.subarray(position + 8, data).equals(key)) {
      return cdb.subarray(data, data + cdb.readUInt32LE(position + 4));
    }
  }
  return null;
}

/** A cdb file, read anew when it has been replaced. */
export class CdbFile {
  readonly #path: string;
  #stamp = "";
  #bytes: Buffer | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  /** The database as it is now; null when there is no such file. Throws on other trouble. */
  read(): Buffer | null {
    const stat = statSync(this.#path, { throwIfNoEntry: false });
    const stamp = stat ? `${stat.ino} ${stat.size} ${stat.mtimeMs}` : "";
    if (stamp !== this.#stamp) {
      this.#bytes = stat ? readFileSync(this.#path) : null;
      this.#stamp = stamp;
    }
    return this.#bytes;
  }
}
