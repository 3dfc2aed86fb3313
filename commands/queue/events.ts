/** What happens to the messages of the queue, as qmail-send's log tells it line by line. Remembers what is open, and not too much of it. */

import type { MessId } from "../../qmail/queue/fmtqfn.ts";
import { type Channel, parseLogLine } from "../../qmail/send/log.ts";

/** What is known of a message, from the log or from its files. */
export interface Followed {
  readonly id: MessId;
  /** Null when nobody knows. */
  readonly sender: string | null;
  readonly size: number;
  /** Milliseconds since 1970; NaN when nobody knows. */
  readonly birth: number;
  /** Its beginning was seen: the counts are all there were. */
  readonly whole: boolean;
  delivered: number;
  failed: number;
  deferred: number;
  /** What was said when it was deferred or failed last; null when it was not. */
  error: string | null;
  /** How often each recipient was tried in vain; null when none was. */
  tries: Map<string, number> | null;
}

export type EventName =
  | ("new" | "try" | "delivered" | "deferred" | "failed" | "bounce" | "left")
  /** Somebody has asked for something to be done to it (`qmailctl queue`). */
  | "action";

export interface QueueEvent {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly name: EventName;
  readonly message: Followed;
  readonly recipient: { readonly channel: Channel; readonly address: string } | null;
  /** How long the delivery took, or the message stayed; null for what takes no time, and when nobody knows. */
  readonly seconds: number | null;
  /** What was said, as the log has it; of a bounce the qp that its message has in the log; which action. */
  readonly text: string;
}

/** Messages and deliveries that are remembered; the oldest are forgotten first. */
const REMEMBERED = 50_000;
/** Recipients of a message whose tries are counted. */
const TRIES_MAX = 1000;

interface Begun {
  readonly message: Followed;
  readonly channel: Channel;
  readonly address: string;
  readonly time: number;
}

/** What is known of a message that came before the log. */
export type Finder = (id: MessId) => Known | null;

type Known = Pick<Followed, "sender" | "size" | "birth">;

export class QueueEvents {
  readonly #find: Finder;
  readonly #messages = new Map<MessId, Followed>();
  readonly #deliveries = new Map<number, Begun>();

  constructor(find: Finder) {
    this.#find = find;
  }

  /** What the line `text`, said at `time`, means for a message; null when nothing. */
  line(time: number, text: string): QueueEvent | null {
    const line = parseLogLine(text);
    switch (line.type) {
      case "info": {
        const { id, sender, bytes: size } = line;
        const message = begin(id, { sender, size, birth: time }, true);
        remember(this.#messages, id, message);
        return { time, name: "new", message, recipient: null, seconds: null, text: "" };
      }
      case "starting": {
        const { id, delivery, channel, recipient: address } = line;
        const message = this.#message(id, time);
        remember(this.#deliveries, delivery, { message, channel, address, time });
        const recipient = { channel, address };
        return { time, name: "try", message, recipient, seconds: null, text: "" };
      }
      case "delivery": {
        const begun = this.#deliveries.get(line.delivery);
        this.#deliveries.delete(line.delivery);
        return begun ? finish(begun, time, line) : null;
      }
      case "bounce": {
        const message = this.#message(line.id, time);
        const text = `qp ${line.qp}`;
        return { time, name: "bounce", message, recipient: null, seconds: null, text };
      }
      case "end": {
        const message = this.#message(line.id, time);
        this.#messages.delete(line.id);
        const seconds = Number.isNaN(message.birth) ? null : (time - message.birth) / 1000;
        return { time, name: "left", message, recipient: null, seconds, text: "" };
      }
      case "action": {
        const message = this.#message(line.id, time);
        return { time, name: "action", message, recipient: null, seconds: null, text: line.name };
      }
      case "redirect": {
        const message = this.#message(line.id, time);
        const text = `redirect to ${line.to.address}`;
        return { time, name: "action", message, recipient: line.from, seconds: null, text };
      }
      case "exiting":
        this.#deliveries.clear();
        return null;
      default:
        return null;
    }
  }

  #message(id: MessId, time: number): Followed {
    const known = this.#messages.get(id);
    if (known) return known;
    const { sender, size, birth } = this.#find(id) ?? UNKNOWN;
    const message = begin(id, { sender, size, birth: Math.min(birth, time) }, false);
    remember(this.#messages, id, message);
    return message;
  }
}

const UNKNOWN: Known = { sender: null, size: 0, birth: Number.NaN };

function begin(id: MessId, { sender, size, birth }: Known, whole: boolean): Followed {
  const counts = { delivered: 0, failed: 0, deferred: 0, error: null, tries: null };
  return { id, sender, size, birth, whole, ...counts };
}

function failed(message: Followed, address: string, text: string): void {
  message.error = text;
  message.tries ??= new Map();
  if (message.tries.size < TRIES_MAX || message.tries.has(address)) {
    message.tries.set(address, (message.tries.get(address) ?? 0) + 1);
  }
}

const NAMES = { success: "delivered", deferral: "deferred", failure: "failed" } as const;

function finish(
  { message, channel, address, time: begun }: Begun,
  time: number,
  { outcome, text }: { outcome: keyof typeof NAMES; text: string },
): QueueEvent {
  const name = NAMES[outcome];
  message[name]++;
  if (outcome !== "success") failed(message, address, text);
  const seconds = Math.max(0, time - begun) / 1000;
  return { time, name, message, recipient: { channel, address }, seconds, text };
}

function remember<K, V>(map: Map<K, V>, key: K, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= REMEMBERED) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    break;
  }
}
