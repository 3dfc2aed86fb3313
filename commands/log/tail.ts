/**
 * Follows a log while it is written: a directory of multilog's across rotations, or a plain file that
 * logrotate turns over or cuts off. Begins some time ago, as far as a bound of bytes allows.
 */

import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { StampReader } from "../../qmail/log/stamp.ts";

const CHUNK = 256 * 1024;
/** What the search for a time reads at once: longer than a line, as a rule. */
const BLOCK = 8 * 1024;
const FINISHED = /^@[0-9a-f]{24}\.[su]$/;
const NEWLINE = 10;

export interface TailOptions {
  /** The first line wanted, in milliseconds since 1970; some before it may come, too. */
  readonly since: number;
  /** At most so many bytes of what there is already. */
  readonly bytes: number;
}

interface OpenFile {
  readonly fd: number;
  readonly inode: bigint;
  position: number;
}

export class LogTail {
  /** The name of the log: of its directory, or of the file. */
  readonly name: string;
  /** False when the bound kept us from beginning as early as wanted. */
  readonly whole: boolean;
  readonly #path: string;
  /** Oldest first; the last is being written. */
  readonly #files: OpenFile[];
  /** What was finished when we looked last. */
  #finished: readonly string[];

  /** `path`: the file that is appended to, as multilog's `current`. Throws when it is not there. */
  constructor(path: string, { since, bytes }: TailOptions) {
    this.#path = path;
    const directory = dirname(path);
    this.name = basename(path) === "current" ? basename(directory) : basename(path);
    let first = openAt(path, since);
    this.#files = [first];
    this.#finished = this.#listFinished();
    let room = bytes - rest(first);
    // All of a file is new enough: perhaps there is more in the one before.
    for (const name of this.#finished.toReversed()) {
      if (first.position > 0 || room <= 0) break;
      first = openAt(join(directory, name), since);
      this.#files.unshift(first);
      room -= rest(first);
    }
    this.whole = room >= 0;
    if (!this.whole) first.position = lineAfter(first.fd, first.position - room);
  }

  /** Gives what has come since the last call, about `most` bytes of it; true when there is more. */
  read(take: (chunk: Buffer) => void, most = Number.POSITIVE_INFINITY): boolean {
    let left = most;
    for (;;) {
      const file = this.#files[0] as OpenFile;
      left -= readOn(file, take, left);
      if (left <= 0) return true;
      if (this.#files.length === 1) {
        if (!this.#turnedOver(file)) return false;
        // What was written between our reading and the renaming.
        readOn(file, take, Number.POSITIVE_INFINITY);
      }
      closeSync(file.fd);
      this.#files.shift();
    }
  }

  close(): void {
    for (const { fd } of this.#files.splice(0)) closeSync(fd);
  }

  /** True when another file is written now; it, and what was finished between, are then in `#files`. */
  #turnedOver(file: OpenFile): boolean {
    const current = openNow(this.#path);
    // Between two files there is none.
    if (current === null) return false;
    if (current.inode === file.inode) {
      closeSync(current.fd);
      if (fstatSync(file.fd).size < file.position) file.position = 0;
      return false;
    }
    const names = this.#listFinished();
    const files = names.map((name) => openNow(join(dirname(this.#path), name)));
    const ours = files.findIndex((each) => each?.inode === file.inode);
    // A processor writes the finished file anew: ours is then the first that we do not know.
    const fresh = names.findIndex((name) => !this.#finished.includes(name));
    const from = (ours >= 0 ? ours : fresh < 0 ? names.length : fresh) + 1;
    for (const [at, each] of files.entries()) {
      if (each === null) continue;
      if (at >= from && each.inode !== current.inode) this.#files.push(each);
      else closeSync(each.fd);
    }
    this.#files.push(current);
    this.#finished = names;
    return true;
  }

  #listFinished(): string[] {
    if (basename(this.#path) !== "current") return [];
    return readdirSync(dirname(this.#path))
      .filter((name) => FINISHED.test(name))
      .sort();
  }
}

/** The logs below `path`: what is appended to in a log directory of multilog's and those in it; or the file itself. */
export function liveLogs(path: string, depth = 2): string[] {
  if (!statSync(path).isDirectory()) return [path];
  const entries = readdirSync(path, { withFileTypes: true });
  const own = entries.some(({ name }) => name === "current") ? [join(path, "current")] : [];
  if (depth === 0) return own;
  const names = entries.filter((entry) => entry.isDirectory() || entry.isSymbolicLink());
  const below = names.map(({ name }) => name).sort();
  return [...own, ...below.flatMap((name) => logsIn(join(path, name), depth - 1))];
}

function logsIn(path: string, depth: number): string[] {
  const there = statSync(path, { throwIfNoEntry: false });
  return there?.isDirectory() ? liveLogs(path, depth) : [];
}

function openNow(path: string): OpenFile | null {
  try {
    const fd = openSync(path, "r");
    return { fd, inode: fstatSync(fd, { bigint: true }).ino, position: 0 };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

function openAt(path: string, since: number): OpenFile {
  const fd = openSync(path, "r");
  return { fd, inode: fstatSync(fd, { bigint: true }).ino, position: findTime(fd, since) };
}

function rest({ fd, position }: OpenFile): number {
  return fstatSync(fd).size - position;
}

function readOn(file: OpenFile, take: (chunk: Buffer) => void, most: number): number {
  let read = 0;
  while (read < most) {
    const chunk = Buffer.allocUnsafe(CHUNK);
    const count = readSync(file.fd, chunk, 0, CHUNK, file.position);
    if (count === 0) break;
    file.position += count;
    read += count;
    take(chunk.subarray(0, count));
  }
  return read;
}

/** Where the lines from `since` on begin, or at most a block before that. */
function findTime(fd: number, since: number): number {
  const stamps = new StampReader(since);
  let low = 0;
  let high = fstatSync(fd).size;
  while (high - low > BLOCK) {
    const middle = Math.floor((low + high) / 2);
    if (timeAt(fd, middle, stamps) < since) low = middle;
    else high = middle;
  }
  return low === 0 ? 0 : lineAfter(fd, low);
}

/** The time of the first line that begins behind `position` in its block; NaN when none has one. */
function timeAt(fd: number, position: number, stamps: StampReader): number {
  const block = Buffer.allocUnsafe(BLOCK);
  const count = readSync(fd, block, 0, BLOCK, position);
  for (let at = block.indexOf(NEWLINE); at >= 0 && at + 1 < count; ) {
    const end = block.indexOf(NEWLINE, at + 1);
    stamps.read(block, at + 1, end < 0 || end > count ? count : end);
    if (!Number.isNaN(stamps.ms)) return stamps.ms;
    at = end;
  }
  return Number.NaN;
}

function lineAfter(fd: number, position: number): number {
  const block = Buffer.allocUnsafe(BLOCK);
  for (let from = position; ; from += BLOCK) {
    const count = readSync(fd, block, 0, BLOCK, from);
    const at = block.subarray(0, count).indexOf(NEWLINE);
    if (at >= 0) return from + at + 1;
    if (count === 0) return from;
  }
}
