/** Does to a message what a key asks for, as `qmailctl queue` does it. */

import { type Action, RETURNED } from "../../qmail/send/action.ts";
import { printable } from "../printable.ts";
import { openHand } from "../queue/hand.ts";
import { findTargets } from "../queue/targets.ts";
import type { ActionName } from "./actions.ts";

/** Seconds that a delivery under way gets to end. */
const WAIT = 30;

const DONE: Readonly<Record<ActionName, string>> = {
  retry: "is tried now",
  hold: "is held",
  release: "is released",
  bounce: "is returned",
  delete: "is deleted",
};

/** Why there is nothing to do it to. */
const NOTHING: Readonly<Record<ActionName, string>> = {
  retry: "has gone, or is held: release it first",
  hold: "has gone, or is held already",
  release: "is not held",
  bounce: "has gone",
  delete: "has gone",
};

/** Does `action` to the message `id` of the queue in `home`; resolves with what came of it. Throws CommandError. */
export async function actOn(home: string, action: ActionName, id: string): Promise<string> {
  const selection = { id: [id] };
  const { targets } = findTargets({ home, selection, action, whole: true, now: Date.now() });
  if (targets.length === 0) return `Message ${id} ${NOTHING[action]}`;
  const hand = await openHand(home);
  try {
    for await (const { outcome, reason } of hand.act(toAction(action), targets, WAIT)) {
      if (outcome === "done") return `Message ${id} ${DONE[action]}`;
      if (outcome === "gone") return `Message ${id} has gone meanwhile`;
      if (outcome === "busy") return `Message ${id} is being delivered all the time: not touched`;
      return `Message ${id} was not touched: ${printable(reason ?? "refused")}`;
    }
    return `Message ${id}: no answer`;
  } finally {
    hand.close();
  }
}

function toAction(name: ActionName): Action {
  return name === "bounce" ? { type: name, text: RETURNED } : { type: name };
}
