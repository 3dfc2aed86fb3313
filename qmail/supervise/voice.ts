/** What the supervisor itself says in the log of a service. It never waits: what the FIFO has no room for is said later. */

import { constants, openSync, writeSync } from "node:fs";

/** More lines than this do not wait: the first say what has happened. */
const LINES_MAX = 100;
/** Short enough for a pipe to take a line whole or not at all. */
const LENGTH_MAX = 2000;
const AGAIN_MS = 1000;

export class Voice {
  readonly #fd: number;
  #lines: string[] = [];
  #timer: NodeJS.Timeout | null = null;

  /** For the FIFO `path`. */
  constructor(path: string) {
    this.#fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  }

  /** Says one line, such as `warning: ...`. */
  say(line: string): void {
    if (this.#lines.length < LINES_MAX)
      this.#lines.push(`supervise: ${line.slice(0, LENGTH_MAX)}\n`);
    if (!this.#timer) this.#speak();
  }

  #speak(): void {
    this.#timer = null;
    try {
      for (let line = this.#lines[0]; line !== undefined; line = this.#lines[0]) {
        writeSync(this.#fd, line);
        this.#lines.shift();
      }
    } catch {
      this.#timer = setTimeout(() => this.#speak(), AGAIN_MS);
      this.#timer.unref();
    }
  }
}
