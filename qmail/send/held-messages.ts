/** Which of the messages in the queue are held, when qmail-send starts (INTERNALS.md, "Held"). */

import type { MessId } from "../queue/fmtqfn.ts";
import type { Held, HeldFile } from "../queue/held.ts";
import * as log from "./log.ts";
import type { QueueFiles } from "./queue-files.ts";

export class HeldMessages {
  readonly #file: HeldFile;
  readonly #files: QueueFiles;
  #noted: Held = new Map();
  readonly #found: Held = new Map();

  constructor(file: HeldFile, files: QueueFiles) {
    this.#file = file;
    this.#files = files;
  }

  /** Reads what is noted; returns a line for the log when that cannot be done: held messages are tried then. */
  read(): string | null {
    try {
      this.#noted = this.#file.read();
      return null;
    } catch (error) {
      return log.alert(`unable to read which messages are held: ${(error as Error).message}`);
    }
  }

  /** True when the message is held, and not an earlier one of its number; also when that cannot be seen. */
  has(id: MessId): boolean {
    const made = this.#noted.get(id);
    if (made === undefined || !this.#mayBe(id, made)) return false;
    this.#found.set(id, made);
    return true;
  }

  #mayBe(id: MessId, made: number): boolean {
    try {
      return this.#files.made(id) === made;
    } catch {
      return true;
    }
  }

  /** When all were asked for: what is noted of others goes. Returns a line for the log when that cannot be done. */
  tidy(): string | null {
    if (this.#noted.size === 0) return null;
    try {
      this.#file.rewrite(this.#found);
      return null;
    } catch (error) {
      return log.warning(
        `unable to write anew which messages are held: ${(error as Error).message}`,
      );
    }
  }
}
