/**
 * The messages on their way into the queue, by number. A number is its intake's from the making of mess/N/ID until
 * qmail-send has been told: whoever wants to remove files of that number waits for that, or is refused.
 */

import type { MessId } from "./fmtqfn.ts";

/** What is to be known of an intake. */
export interface EnteringMessage {
  /** MADE of its mess file. */
  readonly made: number;
  /** It has its name in todo/, so qmail-send may have found it there. */
  readonly linked: boolean;
  /** Resolves when it is over, however it ends. */
  readonly over: Promise<void>;
  /** Gives the message up. */
  abort(): void;
}

export class Entering {
  readonly #messages = new Map<MessId, EnteringMessage>();

  begin(id: MessId, message: EnteringMessage): void {
    this.#messages.set(id, message);
  }

  end(id: MessId, message: EnteringMessage): void {
    if (this.#messages.get(id) === message) this.#messages.delete(id);
  }

  of(id: MessId): EnteringMessage | undefined {
    return this.#messages.get(id);
  }

  /** Gives up what has no name in todo/: nobody was promised anything. */
  abort(): void {
    for (const message of [...this.#messages.values()]) if (!message.linked) message.abort();
  }
}
