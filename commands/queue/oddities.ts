/** What lies in the queue directory and is no file of a message, or none that we may read: passed over, and named. */

import type { Odd } from "../../qmail/queue/queue-read.ts";
import type { Output } from "../output.ts";
import { count } from "./leftovers.ts";

/** So many are named; a queue of the big-todo patch has 23. */
const NAMED_MAX = 3;

export class Oddities {
  readonly #first: Odd[] = [];
  #count = 0;

  readonly add = (odd: Odd): void => {
    this.#count++;
    if (this.#first.length < NAMED_MAX) this.#first.push(odd);
  };

  /** Says what was passed over; true when something was. */
  tell(output: Output): boolean {
    if (this.#count === 0) return false;
    for (const { path, reason } of this.#first) {
      output.note(`queue/${path} was passed over: ${reason}`);
    }
    const more = this.#count - this.#first.length;
    const others = more > 0 ? `${count(more, "more name")} passed over; ` : "";
    output.note(`${others}what is wrong with the queue says: qmailctl queue check`);
    return true;
  }
}
