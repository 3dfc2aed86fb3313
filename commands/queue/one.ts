/** Single messages of the queue, named by id. */

import { readHeld } from "../../qmail/queue/held.ts";
import { type QueuedMessage, readMessage } from "../../qmail/queue/queue-read.ts";
import { CommandError, UsageError } from "../output.ts";
import { checkQueue, closed, withHeld } from "./select.ts";
import { compile } from "./selection.ts";

/** The messages with exactly these ids. Throws CommandError when one of them is not in the queue. */
export function namedMessages(home: string, ids: readonly string[]): QueuedMessage[] {
  const named = compile({ id: ids }, 0).ids;
  if (named === null || named.length === 0) {
    throw new UsageError("it is not said which message", [
      "give its id: qmailctl queue list shows them",
    ]);
  }
  checkQueue(home);
  return named.map((id) => {
    const message = look(home, id);
    if (message) return message;
    throw new CommandError(`there is no message ${id} in the queue`, {
      hints: [`it may have been delivered: qmailctl log trace ${id}`],
    });
  });
}

function look(home: string, id: string): QueuedMessage | null {
  try {
    const message = readMessage(`${home}/queue`, id);
    return message && withHeld(message, readHeld(home));
  } catch (error) {
    throw closed(error);
  }
}
