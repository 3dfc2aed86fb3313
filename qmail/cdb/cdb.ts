/**
 * Reading constant databases (cdb(5)), as cdbmake, qmail-newu, tcprules and tinycdb write them.
 *
 * A header of 256 pairs (position, slots), records (key length, data length, key, data), then hash
 * tables of (hash, position). All numbers are 32 bits, little-endian. Nothing in the file is believed:
 * what points outside it is an error, not a read of something else.
 */

import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";

/** Size of the header. */
export const HEADER = 2048;

/** The bytes of a database: a Buffer is one, an open file another. */
export interface CdbBytes {
  readonly length: number;
  subarray(from: number, to: number): Buffer;
}

/** D. J. Bernstein's hash of `key`. */
export function cdbHash(key: Uint8Array): number {
  let hash = 5381;
  for (const byte of key) hash = (((hash << 5) + hash) ^ byte) >>> 0;
  return hash;
}

/** The data of the first record for `key` in the database `cdb`; null when there is none. Throws on a broken one. */
export function cdbGet(cdb: CdbBytes, key: Buffer): Buffer | null {
  const hash = cdbHash(key);
  const [table, slots] = pair(cdb, (hash & 255) * 8);
  if (table + slots * 8 > cdb.length) throw broken("a hash table outside the file");
  for (let tried = 0; tried < slots; tried++) {
    const slot = table + (((hash >>> 8) + tried) % slots) * 8;
    const [slotHash, position] = pair(cdb, slot);
    if (position === 0) return null;
    if (slotHash !== hash) continue;
    const [keyLength, dataLength] = pair(cdb, position);
    if (keyLength !== key.length) continue;
    const data = position + 8 + keyLength;
    if (bytes(cdb, position + 8, data).equals(key)) return bytes(cdb, data, data + dataLength);
  }
  return null;
}

/** Every record in the order of the file. Throws on a broken database. */
export function* cdbRecords(cdb: CdbBytes): Generator<readonly [key: Buffer, data: Buffer]> {
  const tables = Array.from({ length: 256 }, (_, at) => pair(cdb, at * 8));
  const used = tables.filter(([, slots]) => slots > 0).map(([table]) => table);
  const end = Math.min(...used);
  for (let at = HEADER; used.length > 0 && at < end; ) {
    const [keyLength, dataLength] = pair(cdb, at);
    const data = at + 8 + keyLength;
    yield [bytes(cdb, at + 8, data), bytes(cdb, data, data + dataLength)];
    at = data + dataLength;
  }
}

function pair(cdb: CdbBytes, at: number): readonly [number, number] {
  const two = bytes(cdb, at, at + 8);
  return [two.readUInt32LE(0), two.readUInt32LE(4)];
}

function bytes(cdb: CdbBytes, from: number, to: number): Buffer {
  if (to > cdb.length) throw broken(`${to - from} bytes at ${from} are outside the file`);
  const found = cdb.subarray(from, to);
  if (found.length !== to - from) throw broken("the file has become shorter");
  return found;
}

function broken(detail: string): Error {
  return new Error(`cannot read cdb: ${detail}`);
}

/** An open file. Its header is kept; of the rest a look-up reads a few bytes, however large the file is. */
class FileBytes implements CdbBytes {
  readonly length: number;
  readonly #fd: number;
  readonly #header: Buffer;

  constructor(fd: number) {
    this.#fd = fd;
    this.length = fstatSync(fd).size;
    this.#header = this.#read(0, Math.min(HEADER, this.length));
  }

  subarray(from: number, to: number): Buffer {
    return to <= HEADER ? this.#header.subarray(from, to) : this.#read(from, to);
  }

  #read(from: number, to: number): Buffer {
    const buffer = Buffer.allocUnsafe(to - from);
    let done = 0;
    while (done < buffer.length) {
      const count = readSync(this.#fd, buffer, done, buffer.length - done, from + done);
      if (count === 0) break;
      done += count;
    }
    return buffer.subarray(0, done);
  }
}

/** A cdb file that stays open, and is opened anew when it has been replaced. */
export class CdbFile {
  readonly #path: string;
  #stamp = "";
  #fd = -1;
  #bytes: FileBytes | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  /** The database as it is now, good until the next call; null when there is no such file. Throws on other trouble. */
  read(): CdbBytes | null {
    const stat = statSync(this.#path, { throwIfNoEntry: false });
    const stamp = stat ? `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeMs}` : "";
    if (stamp !== this.#stamp) {
      this.close();
      if (stat) {
        this.#fd = openSync(this.#path, "r");
        this.#bytes = new FileBytes(this.#fd);
      }
      this.#stamp = stamp;
    }
    return this.#bytes;
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    this.#bytes = null;
    this.#stamp = "";
  }
}
