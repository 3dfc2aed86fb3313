/** What may be done to messages in the queue: the words of `qmailctl queue` for qmail-send. */

import { ADDRESS_MAX } from "../queue/envelope.ts";
import { isMessId, type MessId } from "../queue/fmtqfn.ts";

export type Action =
  /** Ends without a bounce. */
  | { readonly type: "delete" }
  /** Fails for good, with this text in the bounce. */
  | { readonly type: "bounce"; readonly text: string }
  /** Is not tried until it is released. */
  | { readonly type: "hold" }
  | { readonly type: "release" }
  /** Is tried now. */
  | { readonly type: "retry" }
  /** Goes to another address, or, when `to` begins with @, to the same one in another domain. */
  | { readonly type: "redirect"; readonly to: string }
  /** Is tried once more; the next failure is final. */
  | { readonly type: "expire" };

export type ActionType = Action["type"];

/** A message, as it was seen. */
export interface Target {
  readonly id: MessId;
  /** Which message of that number (queue/made.ts): another may have the same id later. */
  readonly made: number;
  /** Only these recipients are meant, as the queue has them or as they were written; all when absent. */
  readonly recipients?: readonly string[];
}

/**
 * done: it is as was asked for. gone: the message has ended meanwhile, or nothing of what was asked for is left
 * of it. busy: a delivery was under way all the time; nothing was changed. refused: nothing was changed, for a reason.
 */
export const OUTCOMES = ["done", "gone", "busy", "refused"] as const;
export type Outcome = (typeof OUTCOMES)[number];

export interface Verdict {
  readonly outcome: Outcome;
  /** Why it was refused. */
  readonly reason?: string;
  /** How many recipients it was done to. */
  readonly recipients?: number;
  /** Of a delete: how many failures had been noted for a bounce that is never sent now. */
  readonly untold?: number;
}

/** What the sender of a bounced message is told, unless something else is. */
export const RETURNED = "This message was returned by the administrator of this mail system.";

/** Bytes of the text of a bounce. */
const TEXT_MAX = 10_000;

const TYPES: Readonly<Record<ActionType, (action: Record<string, unknown>) => Action | null>> = {
  delete: () => ({ type: "delete" }),
  bounce: ({ text }) => (isText(text, TEXT_MAX) ? { type: "bounce", text } : null),
  hold: () => ({ type: "hold" }),
  release: () => ({ type: "release" }),
  retry: () => ({ type: "retry" }),
  redirect: ({ to }) => (isAddress(to) ? { type: "redirect", to } : null),
  expire: () => ({ type: "expire" }),
};

/** An action that came from elsewhere; null for what is none. */
export function parseAction(value: unknown): Action | null {
  if (!isRecord(value) || !Object.hasOwn(TYPES, String(value.type))) return null;
  return TYPES[value.type as ActionType](value);
}

/** A target that came from elsewhere; null for what is none. */
export function parseTarget(value: unknown): Target | null {
  if (!isRecord(value)) return null;
  const { id, made, recipients } = value;
  if (typeof id !== "string" || !isMessId(id) || typeof made !== "number") return null;
  if (recipients === undefined) return { id, made };
  if (!Array.isArray(recipients) || !recipients.every((each) => typeof each === "string")) {
    return null;
  }
  return { id, made, recipients };
}

/** An address, or @ and a domain, that can stand in a queue file and in the log. */
export function isAddress(value: unknown): value is string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what must not be there
  return isText(value, ADDRESS_MAX - 1) && /^[^\0-\x1f\x7f]*@?[^\0-\x1f\x7f@]+$/.test(value);
}

function isText(value: unknown, most: number): value is string {
  return typeof value === "string" && value.length <= most && !value.includes("\0");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
