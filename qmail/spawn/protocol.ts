/**
 * What qmail-send and the spawners say to each other: C qmail's spawn protocol in frames of
 * net/link.ts, so that delivery numbers may go beyond 255 and many travel in one write.
 */

export const SPAWN = {
  /** Spawner, first of all: the most deliveries it takes at once (4 bytes). */
  hello: 1,
  /** To the spawner; id is the delnum: messid NUL made NUL sender NUL recipient NUL. */
  deliver: 2,
  /** From the spawner; id is the delnum: K, Z or D and a text. */
  report: 3,
  /** From the spawner, about a recipients' domain: start nothing more for it until `free`. */
  hold: 4,
  /** From the spawner, about a domain that was held. */
  free: 5,
  /** To the spawner: try this domain again whatever is known against it; an empty payload: all domains. */
  flush: 6,
  /** To the spawner: nothing more will come; what can be put off is to be put off soon. */
  leave: 7,
  /** From the spawner; id is the delnum: it waits for something of its own user's (1) and takes no slot, or goes on (0). */
  waits: 8,
} as const;

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
  const [messid, made = "", sender, recipient, end] = payload.toString("latin1").split("\0");
  if (!messid || !/^\d{1,16}$/.test(made) || sender === undefined) return null;
  if (recipient === undefined || end !== "") return null;
  return { messid, made: Number(made), sender, recipient };
}
