/**
 * Which events a selection means. It speaks of messages as they lie in the queue: an event is taken for the message
 * at that moment, with the recipient that it is about.
 */

import type { MessId } from "../../qmail/queue/fmtqfn.ts";
import type { QueuedMessage, QueuedRecipient } from "../../qmail/queue/queue-read.ts";
import type { Attempts } from "./attempts.ts";
import type { Followed, QueueEvent } from "./events.ts";
import type { Header } from "./header.ts";
import type { Criteria } from "./selection.ts";

/** What of a message is in the queue still. */
export interface QueueFiles {
  recipients(id: MessId): readonly QueuedRecipient[];
  /** Null when it is gone. */
  header(id: MessId): Header | null;
}

/** Beyond any time that is compared with it. */
const LATER = Number.MAX_SAFE_INTEGER;

export class EventChoice {
  readonly #criteria: Criteria;
  readonly #files: QueueFiles;
  /** What was decided of messages: by their headers, and whether anything of them was shown. */
  readonly #headers = new WeakMap<Followed, boolean>();
  readonly #shown = new WeakSet<Followed>();
  /** The beginning of messages of which nothing was shown yet. */
  readonly #waiting = new WeakMap<Followed, QueueEvent>();

  constructor(criteria: Criteria, files: QueueFiles) {
    this.#criteria = criteria;
    this.#files = files;
  }

  /** What is to be shown now that `event` has come: nothing, it, or before it how its message came in. */
  choose(event: QueueEvent): QueueEvent[] {
    const { message, name } = event;
    const closing = name === "left" || name === "bounce" || name === "action";
    if (!this.#holds(event) && !(closing && this.#shown.has(message))) {
      if (name === "new") this.#waiting.set(message, event);
      return [];
    }
    const begun = this.#waiting.get(message);
    this.#waiting.delete(message);
    this.#shown.add(message);
    return begun ? [begun, event] : [event];
  }

  #holds(event: QueueEvent): boolean {
    const { message } = event;
    const { id, sender, birth } = message;
    const criteria = this.#criteria;
    return (
      criteria.id(id) &&
      // No pattern for addresses without an @ means somebody whom nobody knows.
      criteria.head(sender ?? "?", birth) &&
      criteria.message(asQueued(event, this.#files)) &&
      this.#headerHolds(message) &&
      (criteria.attempts?.(attemptsOf(event)) ?? true)
    );
  }

  #headerHolds(message: Followed): boolean {
    const { header } = this.#criteria;
    if (header === null) return true;
    const known = this.#headers.get(message);
    if (known !== undefined) return known;
    const read = this.#files.header(message.id);
    const holds = read !== null && header(read);
    this.#headers.set(message, holds);
    return holds;
  }
}

function attemptsOf({ message, recipient, time }: QueueEvent): Attempts {
  const { error, whole, tries } = message;
  const address = recipient?.address ?? "";
  return { tries: tries?.get(address) ?? 0, exact: whole, error, recipient: address, time };
}

/** The message as it lies in the queue when `event` happens. */
function asQueued(
  { message, name, recipient, time }: QueueEvent,
  files: QueueFiles,
): QueuedMessage {
  const { id, size, sender, birth } = message;
  const next = name === "deferred" ? LATER : time;
  return {
    id,
    size,
    sender: sender ?? "?",
    birth,
    made: birth,
    state: name === "new" ? "todo" : "preprocessed",
    bouncing: name === "bounce",
    recipients:
      name === "new" ? files.recipients(id) : recipient ? [{ ...recipient, done: false }] : [],
    retry: { local: next, remote: next },
  };
}
