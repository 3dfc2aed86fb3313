/**
 * What a child is given on a descriptor, without a name of its own: it may seek in it, and open it as /dev/stdin or /dev/fd/N.
 * Node's pipes to children are sockets, which Linux opens by no name.
 */

import { randomBytes } from "node:crypto";
import { closeSync, constants, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class NamelessFile {
  #fd: number;

  /** Throws the system's error, as all of its methods do. */
  constructor() {
    const path = join(tmpdir(), `qmail.${randomBytes(12).toString("hex")}`);
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    this.#fd = openSync(path, flags, 0o600);
    unlinkSync(path);
  }

  write(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
  }

  /** A file with all of `chunks` in it. */
  static async holding(chunks: AsyncIterable<Buffer>): Promise<NamelessFile> {
    const file = new NamelessFile();
    try {
      for await (const chunk of chunks) file.write(chunk);
      return file;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Calls `start` with a descriptor that reads from the beginning, closed when it returns: by then its child has it. */
  lend<T>(start: (fd: number) => T): T {
    return this.#lend("r", start);
  }

  /** The same with one that writes. */
  lendForWriting<T>(start: (fd: number) => T): T {
    return this.#lend("a", start);
  }

  /** The first `max` bytes, as a byte string. */
  text(max: number): string {
    const bytes = Buffer.alloc(max);
    return bytes.toString("latin1", 0, readSync(this.#fd, bytes, 0, max, 0));
  }

  /** What a child has of it stays. */
  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #lend<T>(flags: "r" | "a", start: (fd: number) => T): T {
    const fd = openSync(`/proc/self/fd/${this.#fd}`, flags);
    try {
      return start(fd);
    } finally {
      closeSync(fd);
    }
  }
}
