/** Reading the queue directory, as it is while the daemons work on it: what vanishes meanwhile is no error. */

import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { parseTodo } from "./envelope.ts";
import { fmtqfn, isMessId, type MessId, SPLIT } from "./fmtqfn.ts";

export interface QueuedRecipient {
  /** Null as long as the message is not preprocessed. */
  readonly channel: "local" | "remote" | null;
  readonly address: string;
  readonly done: boolean;
}

export interface QueuedMessage {
  readonly id: MessId;
  /** Bytes of the mess file. */
  readonly size: number;
  /** Milliseconds since 1970: when it came to qmail-send, or into todo. */
  readonly birth: number;
  readonly sender: string;
  readonly state: "preprocessed" | "todo";
  /** A bounce has been begun. */
  readonly bouncing: boolean;
  readonly recipients: readonly QueuedRecipient[];
}

const CHANNELS = ["local", "remote"] as const;

/** A name in the queue directory whose message cannot be looked at: it has vanished since, as a rule. */
export interface Vanished {
  readonly id: MessId;
  readonly state: "vanished";
}

/** Every message in the queue directory `queue`, one at a time. Throws when we may not read it. */
export function* readQueue(queue: string): IterableIterator<QueuedMessage | Vanished> {
  const bounce = new Set(ids(`${queue}/bounce`));
  for (let split = 0; split < SPLIT; split++) {
    const info = ids(`${queue}/info/${split}`);
    // What is there is known from the directories: to ask for each name that is not would take longer.
    const local = new Set(ids(`${queue}/local/${split}`));
    const remote = new Set(ids(`${queue}/remote/${split}`));
    for (const id of info) {
      yield preprocessed(queue, id, { local, remote, bounce }) ?? { id, state: "vanished" };
    }
  }
  for (const id of ids(`${queue}/todo`)) {
    yield unprocessed(queue, id) ?? { id, state: "vanished" };
  }
}

/** True when more than `count` messages are preprocessed; reads no more names than it must. */
export function exceeds(queue: string, count: number): boolean {
  let messages = 0;
  for (let split = 0; split < SPLIT && messages <= count; split++) {
    messages += readdirSync(`${queue}/info/${split}`).length;
  }
  return messages > count;
}

/** How many messages there are, and how many of them are not preprocessed yet. Throws when we may not read. */
export function countQueue(queue: string): { messages: number; todo: number } {
  // By their todo and info files: a mess file alone may be one that is being written, or a spare.
  const todo = ids(`${queue}/todo`);
  const known = new Set(todo);
  for (let split = 0; split < SPLIT; split++) {
    for (const id of ids(`${queue}/info/${split}`)) known.add(id);
  }
  return { messages: known.size, todo: todo.length };
}

function ids(directory: string): MessId[] {
  return readdirSync(directory).filter(isMessId);
}

/** The messages that have a file in these directories. */
type There = Readonly<Record<"local" | "remote" | "bounce", ReadonlySet<MessId>>>;

function preprocessed(queue: string, id: MessId, there: There): QueuedMessage | null {
  const info = read(`${queue}/${fmtqfn("info", id)}`, true);
  const sender = info?.bytes.toString("latin1", 1, info.bytes.indexOf(0));
  const size = statSync(`${queue}/${fmtqfn("mess", id)}`, { throwIfNoEntry: false })?.size;
  if (!info || sender === undefined || size === undefined) return null;
  return {
    id,
    size,
    birth: info.mtimeMs,
    sender,
    state: "preprocessed",
    bouncing: there.bounce.has(id),
    recipients: CHANNELS.filter((channel) => there[channel].has(id)).flatMap((channel) =>
      channelRecipients(queue, id, channel),
    ),
  };
}

function channelRecipients(
  queue: string,
  id: MessId,
  channel: "local" | "remote",
): QueuedRecipient[] {
  const file = read(`${queue}/${fmtqfn(channel, id)}`);
  const records = file ? file.bytes.toString("latin1").split("\0").slice(0, -1) : [];
  return records
    .filter((record) => record[0] === "T" || record[0] === "D")
    .map((record) => ({ channel, address: record.slice(1), done: record[0] === "D" }));
}

function unprocessed(queue: string, id: MessId): QueuedMessage | null {
  const todo = read(`${queue}/${fmtqfn("todo", id)}`, true);
  const size = statSync(`${queue}/${fmtqfn("mess", id)}`, { throwIfNoEntry: false })?.size;
  if (!todo || size === undefined) return null;
  const { sender, recipients } = parseTodo(todo.bytes);
  return {
    id,
    size,
    birth: todo.mtimeMs,
    sender,
    state: "todo",
    bouncing: false,
    recipients: recipients.map((address) => ({ channel: null, address, done: false })),
  };
}

/** Most files fit: one buffer for all, and no question how long a file is. */
const BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

/** What is in a file, valid until the next call, and with `times` when it was changed; null when it is not there. */
function read(path: string, times = false): { bytes: Buffer; mtimeMs: number } | null {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
  try {
    const mtimeMs = times ? fstatSync(fd).mtimeMs : 0;
    const count = readSync(fd, BUFFER, 0, BUFFER.length, 0);
    if (count < BUFFER.length) return { bytes: BUFFER.subarray(0, count), mtimeMs };
    const { size } = fstatSync(fd);
    const bytes = Buffer.allocUnsafe(size);
    return { bytes: bytes.subarray(0, readSync(fd, bytes, 0, size, 0)), mtimeMs };
  } finally {
    closeSync(fd);
  }
}
