/** The messages that an action is to hit, as they were seen: only those are touched, however late the answer comes. */

import { type Held, readHeld } from "../../qmail/queue/held.ts";
import type { Odd, QueuedMessage, QueuedRecipient } from "../../qmail/queue/queue-read.ts";
import type { Action, Target } from "../../qmail/send/action.ts";
import { selectMessages } from "./select.ts";
import { compile, type Selection } from "./selection.ts";

/** A message with what of it is meant. */
export interface Hit {
  readonly message: QueuedMessage;
  readonly recipients: readonly QueuedRecipient[];
}

export interface Targets {
  readonly targets: readonly Target[];
  /** The first ones, to be shown. */
  readonly first: readonly Hit[];
  /** How many recipients are meant. */
  readonly recipients: number;
}

/** So many are shown before a person is asked. */
const SHOWN = 10;

/** Actions that mean recipients: of a message to several those are hit that were asked for, and no others. */
const RECIPIENT_WISE: ReadonlySet<Action["type"]> = new Set(["delete", "bounce", "redirect"]);

export interface TargetOptions {
  readonly home: string;
  readonly selection: Selection;
  readonly action: Action["type"];
  /** Whole messages, also where only some of their recipients were asked for. */
  readonly whole: boolean;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Told of what is no message. */
  readonly odd?: (odd: Odd) => void;
}

/** What `selection` means for `action`. Throws CommandError. */
export function findTargets(options: TargetOptions): Targets {
  const { home, selection, action, whole, now, odd } = options;
  const criteria = compile(selection, now);
  const wise = RECIPIENT_WISE.has(action) && !whole;
  const held = readHeld(home);
  const targets: Target[] = [];
  const first: Hit[] = [];
  let recipients = 0;
  for (const message of selectMessages(home, selection, { now, ...(odd && { odd }) })) {
    if (!isMeant(action, held, message)) continue;
    const left = message.recipients.filter(({ done }) => !done);
    const asked = left.filter((each) => criteria.recipient(each, message.sender));
    // Nobody asked for, yet selected: by its sender, as a message that waits for its bounce alone.
    const some = wise && asked.length > 0 && asked.length < left.length;
    const hit = some ? asked : left;
    recipients += hit.length;
    if (first.length < SHOWN) first.push({ message, recipients: hit });
    const { id, made } = message;
    targets.push({ id, made, ...(some ? { recipients: hit.map(({ address }) => address) } : {}) });
  }
  return { targets, first, recipients };
}

/** Only what is held can be released, and nothing needs to be held twice or tried while it is held. */
function isMeant(action: Action["type"], held: Held, { id, made }: QueuedMessage): boolean {
  if (action === "release") return held.get(id) === made;
  if (action === "hold" || action === "retry") return held.get(id) !== made;
  return true;
}
