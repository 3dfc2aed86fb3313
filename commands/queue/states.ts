/** In what state a message is, in the words of `queue list` and `--state`. */

import type { QueuedMessage } from "../../qmail/queue/queue-read.ts";

/** What each state means; the order is that of a message's life. */
export const STATES = {
  todo: "accepted, and not yet looked at by qmail-send",
  due: "to be tried now, or being tried",
  waiting: "to be tried later",
  held: "not tried until it is released",
  bouncing: "a bounce has been begun",
  done: "nobody is left; it ends soon",
} as const;

export type State = keyof typeof STATES;

/** The states of a message: what is shown comes first. */
export function statesOf(message: QueuedMessage, now: number): readonly State[] {
  if (message.state === "todo") return message.held ? ["todo", "held"] : ["todo"];
  const left = message.recipients.some(({ done }) => !done);
  const first: State[] = left ? [trying(message, now)] : [];
  if (message.bouncing) return [...first, "bouncing"];
  return left ? first : ["done"];
}

function trying(message: QueuedMessage, now: number): State {
  if (message.held) return "held";
  return nextTry(message) <= now ? "due" : "waiting";
}

/** When a message is tried next: milliseconds since 1970, infinity when nobody is left. */
export function nextTry({ recipients, retry }: QueuedMessage): number {
  let next = Number.POSITIVE_INFINITY;
  for (const channel of ["local", "remote"] as const) {
    const time = retry[channel];
    if (time === null || time >= next) continue;
    if (recipients.some((each) => each.channel === channel && !each.done)) next = time;
  }
  return next;
}
