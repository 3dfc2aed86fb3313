/** The messages in the queue, so many of them as a person looks through, read a little at a time and not too often. */

import { setImmediate as turn } from "node:timers/promises";
import { type QueuedMessage, readQueue } from "../../qmail/queue/queue-read.ts";

/** More are not shown. */
const SHOWN_MAX = 2000;
/** So long the reading keeps the terminal waiting. */
const SLICE_MS = 10;
/** Reading takes at most one part in so many of the time. */
const SHARE = 20;

export class QueueMessages {
  readonly #queue: string;
  readonly #most: number;
  #next = 0;
  #reading: Promise<void> | null = null;
  #key = "";
  messages: readonly QueuedMessage[] = [];
  /** There are more of those that are wanted. */
  more = false;
  /** Why there are none; null when we could read. */
  trouble: string | null = null;

  /** At most `most` messages are kept. */
  constructor(queue: string, most = SHOWN_MAX) {
    this.#queue = queue;
    this.#most = most;
  }

  /**
   * Reads those that are `wanted`; another `key` tells that others are wanted than before. Resolves when
   * `messages` is as new as it gets.
   */
  read(now: () => number, key: string, wanted: (message: QueuedMessage) => boolean): Promise<void> {
    if (this.#reading !== null) return this.#reading;
    if (key === this.#key && now() < this.#next) return Promise.resolve();
    this.#key = key;
    this.#reading = this.#read(now, wanted).finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  /** Something has been done to the queue: the next reading is not too early. */
  changed(): void {
    this.#next = 0;
  }

  async #read(now: () => number, wanted: (message: QueuedMessage) => boolean): Promise<void> {
    const found: QueuedMessage[] = [];
    let busy = 0;
    let begun = now();
    this.#next = Number.POSITIVE_INFINITY;
    let more = false;
    try {
      for (const message of readQueue(this.#queue)) {
        if (message.state !== "vanished" && message.state !== "odd" && wanted(message)) {
          more = found.length >= this.#most;
          if (more) break;
          found.push(message);
        }
        if (now() - begun < SLICE_MS) continue;
        busy += now() - begun;
        await turn();
        begun = now();
      }
      this.messages = found;
      this.more = more;
      this.trouble = null;
    } catch (error) {
      this.messages = [];
      this.trouble = (error as Error).message;
    }
    busy += now() - begun;
    if (this.#next === Number.POSITIVE_INFINITY) this.#next = now() + busy * SHARE;
  }
}
