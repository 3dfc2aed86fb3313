/** The messages of a queue that a selection means, read as they are asked for. */

import { existsSync } from "node:fs";
import { NoFileError } from "../../qmail/files/foreign-directory.ts";
import { fmtqfn, type MessId } from "../../qmail/queue/fmtqfn.ts";
import { type Held, readHeld } from "../../qmail/queue/held.ts";
import {
  type Odd,
  oddOf,
  type QueuedMessage,
  queuedIds,
  readMessage,
  readQueue,
  type Share,
} from "../../qmail/queue/queue-read.ts";
import { CommandError } from "../output.ts";
import { checkInstalled } from "../supervisor.ts";
import type { AttemptSource } from "./attempts.ts";
import { readHeader } from "./header.ts";
import { LogAttempts, sendLog, THOROUGH } from "./log-attempts.ts";
import { type Criteria, compile, type Selection } from "./selection.ts";

export interface SelectOptions {
  /** Milliseconds since 1970: what ages are counted from. */
  readonly now: number;
  /** Who is asked when the selection has errors or tries; the log, if nobody is named. */
  readonly attempts?: AttemptSource;
  /** When several readers do it together. */
  readonly share?: Share;
  /** Told of what is no message, or none that we may read. */
  readonly odd?: (odd: Odd) => void;
}

/**
 * The messages in the queue of `home` that `selection` means, one at a time, as they lie. Headers are
 * read only when one is asked for, the log only for errors and tries; of a message that the sender rules
 * out nothing more is read. What vanishes meanwhile is left out. Throws CommandError.
 */
export function selectMessages(
  home: string,
  selection: Selection,
  { now, attempts, share, odd = () => {} }: SelectOptions,
): IterableIterator<QueuedMessage> {
  const criteria = compile(selection, now);
  checkQueue(home);
  const source = criteria.attempts && (attempts ?? theLog(home, selection, now));
  const found = candidates(`${home}/queue`, criteria, { share, odd });
  return selected(found, { criteria, source, home, odd });
}

function* selected(
  messages: Iterable<QueuedMessage>,
  {
    criteria,
    source,
    home,
    odd,
  }: {
    criteria: Criteria;
    source: AttemptSource | null;
    home: string;
    odd: (odd: Odd) => void;
  },
): Generator<QueuedMessage> {
  try {
    const held = readHeld(home);
    for (const found of messages) {
      const message = held.size > 0 ? withHeld(found, held) : found;
      if (
        criteria.message(message) &&
        headerHolds(`${home}/queue`, message, { criteria, odd }) &&
        (!source || criteria.attempts?.(source.of(message.id)))
      ) {
        yield message;
      }
    }
  } catch (error) {
    throw closed(error);
  }
}

/** What the log says, read when the first message is looked up, for all that are in the queue then. */
export function theLog(home: string, { log }: Selection, now: number): AttemptSource {
  const directory = sendLog(home, log);
  if (directory === null) {
    throw new CommandError(
      `there is no log of qmail-send in ${home}/log: errors and tries are in it`,
      {
        hints: ["say where it is: --log DIR"],
      },
    );
  }
  const wanted = () => queuedIds(`${home}/queue`);
  return new LogAttempts(directory, { wanted, limits: THOROUGH, now });
}

/** Throws CommandError unless there is a queue in `home`, ours or a C qmail's. */
export function checkQueue(home: string): void {
  if (!existsSync(`${home}/queue`)) checkInstalled(home);
}

const HINTS: Readonly<Record<string, string>> = {
  EACCES: "the queue is closed to others: run it as root",
  ENOENT: "a part of it is missing: qmailctl queue check says what is wrong",
  ENOTDIR: "a part of it is something else: qmailctl queue check says what is wrong",
};

/** What to say when the queue cannot be read; other errors come back as they are. */
export function closed(error: unknown): unknown {
  if (error instanceof NoFileError) {
    return new CommandError(`cannot read the queue: ${error.message}`, {
      hints: ["what is wrong with it says: qmailctl queue check"],
      cause: error,
    });
  }
  const { code = "", message } = error as NodeJS.ErrnoException;
  const hint = HINTS[code];
  if (hint === undefined) return error;
  return new CommandError(`cannot read the queue: ${message}`, { hints: [hint], cause: error });
}

/** `message` with what `held` knows of it. */
export function withHeld(message: QueuedMessage, held: Held): QueuedMessage {
  return held.get(message.id) === message.made ? { ...message, held: true } : message;
}

/** What is left by names, senders and ages. */
function* candidates(
  queue: string,
  criteria: Criteria,
  { share, odd }: { share: Share | undefined; odd: (odd: Odd) => void },
): Generator<QueuedMessage> {
  if (criteria.ids === null) {
    for (const message of readQueue(queue, criteria, share)) {
      if (message.state === "odd") odd(message);
      else if (message.state !== "vanished") yield message;
    }
    return;
  }
  for (const id of criteria.ids) {
    const message = passing(queue, id, { odd, read: () => readMessage(queue, id) });
    if (message && criteria.head(message.sender, message.birth)) yield message;
  }
}

function headerHolds(
  queue: string,
  { id, made }: QueuedMessage,
  { criteria: { header }, odd }: { criteria: Criteria; odd: (odd: Odd) => void },
): boolean {
  if (header === null) return true;
  const read = () => readHeader(`${queue}/${fmtqfn("mess", id)}`, made);
  const found = passing(queue, id, { odd, read });
  return found !== null && header(found);
}

/** What `read` reads of the message `id`; null when that is odd, which `odd` is told. */
export function passing<T>(
  queue: string,
  id: MessId,
  { odd, read }: { odd: (odd: Odd) => void; read: () => T | null },
): T | null {
  try {
    return read();
  } catch (error) {
    const found = oddOf(queue, id, error);
    if (!found) throw error;
    odd(found);
    return null;
  }
}
