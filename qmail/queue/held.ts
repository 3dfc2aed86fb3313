/**
 * held/messages: which messages are not to be tried until they are released (INTERNALS.md, "Held").
 *
 * A line for each change, `+ID MADE` or `-ID MADE`, so that holding costs an append. MADE says which message
 * of that number is meant (made.ts): another may have the same number later, and is not held.
 */

import {
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  writeSync,
} from "node:fs";
import { promisify } from "node:util";
import { writeFileAtomic } from "../files/atomic.ts";
import { isMessId, type MessId } from "./fmtqfn.ts";

const dataSync = promisify(fdatasync);

/** Only qmail-send's user enters it. */
export const HELD_DIRECTORY = "held";
const NAME = "messages";
const MODE = 0o600;
const NEWLINE = 10;

/** Messages by id, and when their mess files were made. */
export type Held = Map<MessId, number>;

/** What `text` comes to. What is no whole line, as a crash may leave the last one, does not count. */
export function parseHeld(text: string): Held {
  const held: Held = new Map();
  for (const line of text.split("\n").slice(0, -1)) {
    const [, sign, id = "", made] = /^([+-])(\d+) (\d+)$/.exec(line) ?? [];
    if (!isMessId(id)) continue;
    if (sign === "+") held.set(id, Number(made));
    else if (held.get(id) === Number(made)) held.delete(id);
  }
  return held;
}

/** Lines that say so of these messages; the reverse of `parseHeld` without a sign. */
export function formatHeld(
  held: Iterable<readonly [MessId, number]>,
  sign: "+" | "-" = "+",
): string {
  let text = "";
  for (const [id, made] of held) text += `${sign}${id} ${made}\n`;
  return text;
}

/** The messages held in the installation `home`, those too that have ended since. Throws when we may not read. */
export function readHeld(home: string): Held {
  try {
    return parseHeld(readFileSync(`${home}/${HELD_DIRECTORY}/${NAME}`, "latin1"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return new Map();
    throw error;
  }
}

/** The file as its writer sees it. Methods throw, or reject with, the system's errors. */
export class HeldFile {
  readonly #home: string;
  /** Lines that wait for the sync that is running: all of them share the next. */
  #lines = "";
  #next: Promise<void> | null = null;
  #running: Promise<unknown> = Promise.resolve();

  constructor(home: string) {
    this.#home = home;
  }

  read(): Held {
    return readHeld(this.#home);
  }

  /** Resolves when it is durable that these messages are held. */
  hold(messages: Iterable<readonly [MessId, number]>): Promise<void> {
    return this.#append(formatHeld(messages));
  }

  /** Resolves when it is durable that these messages are not held. */
  release(messages: Iterable<readonly [MessId, number]>): Promise<void> {
    return this.#append(formatHeld(messages, "-"));
  }

  /** Writes the file anew: the lines about what has ended go. */
  rewrite(held: Held): void {
    writeFileAtomic(this.#path, formatHeld(held), { mode: MODE });
  }

  get #path(): string {
    return `${this.#home}/${HELD_DIRECTORY}/${NAME}`;
  }

  #append(lines: string): Promise<void> {
    this.#lines += lines;
    if (!this.#next) {
      this.#next = this.#running.then(() => this.#write());
      this.#running = this.#next.catch(() => {});
    }
    return this.#next;
  }

  async #write(): Promise<void> {
    const lines = this.#lines;
    this.#lines = "";
    this.#next = null;
    const fd = this.#open();
    try {
      const size = wholeLines(fd);
      ftruncateSync(fd, size);
      try {
        write(fd, lines);
      } catch (error) {
        // Refused is refused: nothing of it may count at the next start.
        ftruncateSync(fd, size);
        throw error;
      }
      await dataSync(fd);
    } finally {
      closeSync(fd);
    }
  }

  #open(): number {
    const open = () => openSync(this.#path, constants.O_RDWR | constants.O_APPEND);
    try {
      return open();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      this.rewrite(new Map());
      return open();
    }
  }
}

/** Where the last whole line ends: what a crash has cut off behind it must not become another line. */
function wholeLines(fd: number): number {
  const { size } = fstatSync(fd);
  const last = Buffer.alloc(1, NEWLINE);
  if (size > 0) readSync(fd, last, 0, 1, size - 1);
  return last[0] === NEWLINE ? size : readFileSync(fd).lastIndexOf(NEWLINE) + 1;
}

function write(fd: number, lines: string): void {
  const bytes = Buffer.from(lines, "latin1");
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}
