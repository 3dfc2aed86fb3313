/** In what order messages are shown, and the first so many of them without keeping all. */

import type { QueuedMessage } from "../../qmail/queue/queue-read.ts";
import { UsageError } from "../output.ts";
import { nextTry } from "./states.ts";

type Key = (message: QueuedMessage) => number | string | bigint;

const KEYS: Readonly<Record<string, Key>> = {
  age: ({ birth }) => birth,
  size: ({ size }) => size,
  sender: ({ sender }) => sender.toLowerCase(),
  recipients: ({ recipients }) => recipients.reduce((sum, { done }) => sum + (done ? 0 : 1), 0),
  next: nextTry,
  id: ({ id }) => BigInt(id),
};

/** Those for which one expects the most first. */
const FALLING = new Set(["size", "recipients"]);

export interface Order {
  readonly by: string;
  readonly reverse: boolean;
}

export type Compare = (a: QueuedMessage, b: QueuedMessage) => number;

/** How `order` compares two messages: the oldest, largest, soonest first. Throws UsageError. */
export function comparing({ by, reverse }: Order): Compare {
  const key = KEYS[by];
  if (!key) {
    throw new UsageError(`there is no order "${by}"`, [
      `there is: ${Object.keys(KEYS).join(", ")}`,
    ]);
  }
  const sign = FALLING.has(by) === reverse ? 1 : -1;
  return (a, b) => {
    const [first, second] = [key(a), key(b)];
    return first < second ? -sign : first > second ? sign : 0;
  };
}

/** The first `limit` of what is added, in order; holds at most twice as many. */
export class Leading {
  readonly #compare: Compare;
  readonly #limit: number;
  #messages: QueuedMessage[] = [];

  constructor(compare: Compare, limit: number) {
    this.#compare = compare;
    this.#limit = limit;
  }

  add(message: QueuedMessage): void {
    this.#messages.push(message);
    if (this.#messages.length >= 2 * this.#limit) this.#messages = this.sorted();
  }

  sorted(): QueuedMessage[] {
    return this.#messages.sort(this.#compare).slice(0, this.#limit);
  }
}
