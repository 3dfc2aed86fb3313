/** A local or remote file, record by record (INTERNALS.md): `T recipient NUL` to be done, `D recipient NUL` done. */

import { closeSync, fdatasync, openSync, readSync, writeSync } from "node:fs";
import { promisify } from "node:util";

const dataSync = promisify(fdatasync);

/** A recipient in a local or remote file. */
export interface Recipient {
  readonly mark: string;
  readonly address: string;
  /** Where its mark is in the file. */
  readonly position: number;
}

const READ_SIZE = 16 * 1024;

/** Reads a local or remote file record by record, and marks what is done. Any number of recipients. */
export class RecipientFile {
  readonly #fd: number;
  #buffer: Buffer = Buffer.alloc(0);
  #position = 0;
  #read = 0;

  constructor(path: string) {
    this.#fd = openSync(path, "r+");
  }

  /**
   * The next record; null at the end. Throws on read errors, and when the file is cut off: whoever stood there is not done,
   * and nobody knows any more who that was. No file of ours is empty, so that is one of them.
   */
  next(): Recipient | null {
    let end = this.#buffer.indexOf(0);
    while (end < 0) {
      const known = this.#buffer.length;
      const more = Buffer.allocUnsafe(READ_SIZE);
      const count = readSync(this.#fd, more, 0, READ_SIZE, this.#read);
      if (count === 0) {
        if (known > 0 || this.#read === 0) throw new Error("it is cut off");
        return null;
      }
      this.#read += count;
      this.#buffer = Buffer.concat([this.#buffer, more.subarray(0, count)]);
      end = this.#buffer.indexOf(0, known);
    }
    const text = this.#buffer.toString("latin1", 0, end);
    const position = this.#position;
    this.#position += end + 1;
    this.#buffer = this.#buffer.subarray(end + 1);
    return { mark: text.charAt(0), address: text.slice(1), position };
  }

  /** Marks the recipient at `position` as done. */
  markDone(position: number): void {
    writeSync(this.#fd, "D", position, "latin1");
  }

  /** Resolves when the marks are durable. */
  sync(): Promise<void> {
    return dataSync(this.#fd);
  }

  close(): void {
    closeSync(this.#fd);
  }
}
