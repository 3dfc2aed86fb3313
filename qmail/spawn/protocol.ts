/**
 * What qmail-send and the spawners say to each other: C qmail's spawn protocol in frames of
 * net/link.ts, so that delivery numbers may go beyond 255 and many travel in one write.
 */

import { either, type Kinds, kind, nothing, text, uint32 } from "../net/frames.ts";
import { isMessId } from "../queue/fmtqfn.ts";

/** The addresses of one order are together no longer than this; longer ones are nobody's. */
export const ADDRESSES_MAX = 4096;

/** The longest text of a report. */
export const REPORT_MAX = 3000;

export const SPAWN = {
  /** Spawner, first of all and once: the most deliveries it takes at once (4 bytes). */
  hello: kind(1, 4, uint32),
  /** To the spawner; id is the delnum: messid NUL made NUL sender NUL recipient NUL. */
  deliver: kind(2, ADDRESSES_MAX, parseDelivery),
  /** From the spawner; id is the delnum: K, Z or D and a text. */
  report: kind(3, 1 + REPORT_MAX, text),
  /** From the spawner, about a recipients' domain: start nothing more for it until `free`. */
  hold: kind(4, ADDRESSES_MAX, text),
  /** From the spawner, about a domain that was held. */
  free: kind(5, ADDRESSES_MAX, text),
  /** To the spawner: try this domain again whatever is known against it; an empty payload: all domains. */
  flush: kind(6, ADDRESSES_MAX, text),
  /** To the spawner: nothing more will come; what can be put off is to be put off soon. */
  leave: kind(7, 0, nothing),
  /** From the spawner; id is the delnum: it waits for something of its own user's (1) and takes no slot, or goes on (0). */
  waits: kind(8, 1, either("1", "0")),
  /** To the spawner, in answer to hello: so many deliveries take slots at once (4 bytes). */
  limit: kind(9, 4, uint32),
} as const;

/** What qmail-send hears of a spawner. */
export const FROM_SPAWNER = {
  hello: SPAWN.hello,
  report: SPAWN.report,
  hold: SPAWN.hold,
  free: SPAWN.free,
  waits: SPAWN.waits,
} satisfies Kinds;

/** What a spawner hears. */
export const TO_SPAWNER = {
  deliver: SPAWN.deliver,
  flush: SPAWN.flush,
  leave: SPAWN.leave,
  limit: SPAWN.limit,
} satisfies Kinds;

/** What keeps one domain from taking the slots of all: hold and free, for whoever starts deliveries. */
export interface Flow {
  hold(host: string): void;
  free(host: string): void;
}

/** What a spawner takes at once unless told otherwise (C qmail: conf-spawn). */
export const SPAWN_LIMIT = 2000;

export interface Delivery {
  readonly messid: string;
  /** Which message of that number is meant (queue/made.ts): it may be another's when the order is read. */
  readonly made: number;
  readonly sender: string;
  readonly recipient: string;
}

export function formatDelivery({ messid, made, sender, recipient }: Delivery): Buffer {
  return Buffer.from(`${messid}\0${made}\0${sender}\0${recipient}\0`, "latin1");
}

/** The reverse of `formatDelivery`; null for what is none. */
export function parseDelivery(payload: Buffer): Delivery | null {
  const [messid, made = "", sender, recipient, end, more] = text(payload).split("\0", 6);
  if (!messid || !isMessId(messid) || !/^\d{1,16}$/.test(made)) return null;
  if (sender === undefined || recipient === undefined || end !== "" || more !== undefined)
    return null;
  return { messid, made: Number(made), sender, recipient };
}
