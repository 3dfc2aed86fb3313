/** Who does what is asked of the queue: qmail-send when it runs, else this process under qmail-send's lock. */

import type { Action, Target } from "../../qmail/send/action.ts";
import { ActionClient, LostError } from "../../qmail/send/action-client.ts";
import type { Answer } from "../../qmail/send/action-protocol.ts";
import { StoppedQueue } from "../../qmail/send/stopped-queue.ts";
import { CommandError } from "../output.ts";
import { checkNotRepaired } from "../supervisor.ts";
import { closed } from "./select.ts";

export interface Hand {
  /** True when qmail-send does it. */
  readonly running: boolean;
  /** Has `action` done to each target; `wait`: seconds that each may wait for deliveries under way. */
  act(action: Action, targets: Iterable<Target>, wait: number): AsyncIterable<Answer>;
  close(): void;
}

/** A hand for the queue in `home`. Throws CommandError when there can be none. */
export async function openHand(home: string): Promise<Hand> {
  try {
    const client = await ActionClient.connect(home);
    if (client) {
      return {
        running: true,
        act: (action, targets, wait) => client.act(action, targets, wait),
        close: () => client.close(),
      };
    }
    checkNotRepaired(home);
    const stopped = StoppedQueue.lock(home);
    if (stopped) {
      return {
        running: false,
        act: (action, targets) => stopped.act(action, targets),
        close: () => stopped.close(),
      };
    }
  } catch (error) {
    throw denied(error);
  }
  throw new CommandError("the queue belongs to a qmail-send that takes no actions", {
    hints: [
      "if it is just starting, try again; if it is an older one, qmailctl install and restart",
      "a C qmail's must be stopped first; what it can do by itself: SIGALRM tries everything now",
    ],
  });
}

/** What to say when the queue is closed to us, or qmail-send has left; other errors come back as they are. */
export function denied(error: unknown): unknown {
  if (error instanceof LostError) {
    return new CommandError("qmail-send has gone away: what it did not answer for is not known", {
      hints: ["look at what is left: qmailctl queue list", "and ask again: nothing is done twice"],
      cause: error,
    });
  }
  return closed(error);
}
