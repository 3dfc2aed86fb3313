/** Reading the queue directory, as it is while the daemons work on it: what vanishes meanwhile is no error. */

import { closeSync, existsSync, lstatSync, readdirSync, readSync, type Stats } from "node:fs";
import { NoFileError, notAFile, openIfThere } from "../files/foreign-directory.ts";
import { type Envelope, EnvelopeError, parseTodo } from "./envelope.ts";
import { fmtqfn, isMessId, type MessId, SPLIT, splitOf } from "./fmtqfn.ts";
import { madeOf } from "./made.ts";
import { ENVELOPE_MAX } from "./protocol.ts";

export const CHANNELS = ["local", "remote"] as const;
export type Channel = (typeof CHANNELS)[number];

export interface QueuedRecipient {
  /** Null as long as the message is not preprocessed. */
  readonly channel: Channel | null;
  readonly address: string;
  readonly done: boolean;
}

export interface QueuedMessage {
  readonly id: MessId;
  /** Bytes of the mess file. */
  readonly size: number;
  /** Which message of that number (made.ts): with the id it tells the message from all others. */
  readonly made: number;
  /** Milliseconds since 1970: when it came to qmail-send, or into todo. */
  readonly birth: number;
  readonly sender: string;
  readonly state: "preprocessed" | "todo";
  /** A bounce has been begun. */
  readonly bouncing: boolean;
  readonly recipients: readonly QueuedRecipient[];
  /** When each channel is tried next: milliseconds since 1970; null where it has no file. */
  readonly retry: Readonly<Record<Channel, number | null>>;
  /** Not tried until it is released; told by who has looked (queue/held.ts). */
  readonly held?: true;
}

/** A name in the queue directory whose message cannot be looked at: it has vanished since, as a rule. */
export interface Vanished {
  readonly id: MessId;
  readonly state: "vanished";
}

/** Something in the place of a message's file that is none, or closed to us: the message is passed over. */
export interface Odd {
  readonly id: MessId;
  readonly state: "odd";
  /** In the queue directory. */
  readonly path: string;
  readonly reason: string;
}

/** What passes over a message before all of its files are read. */
export interface Sieve {
  readonly id: (id: MessId) => boolean;
  readonly head: (sender: string, birth: number) => boolean;
}

const EVERYTHING: Sieve = { id: () => true, head: () => true };

/** What one of several readers of the same queue reads. */
export interface Share {
  /** What was in todo when the reading began: the same for all, or a message that leaves it could be missed. */
  readonly todo: ReadonlySet<MessId>;
  /** Numbers of parts, each for one reader: SPLIT subdirectories, and todo behind them. */
  readonly parts: Iterable<number>;
}

/** The number of parts. */
export const PARTS = SPLIT + 1;

/** The ids in todo. Throws when we may not read. */
export function todoIds(queue: string): Set<MessId> {
  return new Set(ids(`${queue}/todo`));
}

/** Every message in the queue directory `queue` that `sieve` lets through, one at a time. Throws when we may not read it. */
export function* readQueue(
  queue: string,
  sieve: Sieve = EVERYTHING,
  share: Share = { todo: todoIds(queue), parts: Array(PARTS).keys() },
): IterableIterator<QueuedMessage | Vanished | Odd> {
  const { todo, parts } = share;
  const bounce = new Set(ids(`${queue}/bounce`));
  // What was in todo counts as that, whatever of info is being written meanwhile.
  const settled = { head: sieve.head, id: (id: MessId) => !todo.has(id) && sieve.id(id) };
  for (const part of parts) {
    if (part < SPLIT) yield* readSplit(queue, part, { bounce, sieve: settled });
    else yield* readTodo(queue, todo, sieve);
  }
}

/** As `readQueue`, without looking at todo. */
export function* readPreprocessed(queue: string): Generator<QueuedMessage | Vanished | Odd> {
  const bounce = new Set(ids(`${queue}/bounce`));
  for (let split = 0; split < SPLIT; split++) {
    yield* readSplit(queue, split, { bounce, sieve: EVERYTHING });
  }
}

function* readSplit(
  queue: string,
  split: number,
  { bounce, sieve }: { bounce: ReadonlySet<MessId>; sieve: Sieve },
): Generator<QueuedMessage | Vanished | Odd> {
  const info = ids(`${queue}/info/${split}`);
  // What is there is known from the directories: to ask for each name that is not would take longer.
  const local = new Set(ids(`${queue}/local/${split}`));
  const remote = new Set(ids(`${queue}/remote/${split}`));
  const there = { local, remote, bounce };
  for (const id of info) {
    if (!sieve.id(id)) continue;
    const message = preprocessed(queue, id, { there, sieve });
    if (message !== PASSED) yield message ?? { id, state: "vanished" };
  }
}

function* readTodo(
  queue: string,
  todo: ReadonlySet<MessId>,
  sieve: Sieve,
): Generator<QueuedMessage | Vanished | Odd> {
  for (const id of todo) {
    if (!sieve.id(id)) continue;
    const message = either(queue, id, sieve);
    if (message !== PASSED) yield message ?? { id, state: "vanished" };
  }
}

/** The message `id` of the queue directory `queue`; null when it is not there. Throws when we may not read it, as what is odd. */
export function readMessage(queue: string, id: MessId): QueuedMessage | null {
  const message = either(queue, id, EVERYTHING);
  if (message === PASSED || message === null) return null;
  if (message.state === "odd") throw new NoFileError(`${queue}/${message.path}`, message.reason);
  return message;
}

/** From todo or, when it has left that, from info. */
function either(queue: string, id: MessId, sieve: Sieve): Look {
  const has = (directory: Channel | "bounce") => ({
    has: () => existsSync(`${queue}/${fmtqfn(directory, id)}`),
  });
  const there = { local: has("local"), remote: has("remote"), bounce: has("bounce") };
  const fresh = unprocessed(queue, id, sieve);
  if (fresh !== null && (fresh === PASSED || fresh.state !== "odd")) return fresh;
  // What is odd in todo hides no message.
  return preprocessed(queue, id, { there, sieve }) ?? fresh;
}

/** A message that the sieve has held back. */
const PASSED = Symbol("passed over");

/** What comes of looking at a message; null when it is gone. */
type Look = QueuedMessage | Odd | typeof PASSED | null;

/** What is odd about the message `id` when `error` says that; null for other errors. */
export function oddOf(queue: string, id: MessId, error: unknown): Odd | null {
  if (!(error instanceof NoFileError)) return null;
  return { id, state: "odd", path: error.path.slice(queue.length + 1), reason: error.reason };
}

function oddOrThrow(queue: string, id: MessId, error: unknown): Odd {
  const odd = oddOf(queue, id, error);
  if (!odd) throw error;
  return odd;
}

/** True when there are more than `count` messages; reads no more names than it must. */
export function exceeds(queue: string, count: number): boolean {
  let messages = readdirSync(`${queue}/todo`).length;
  for (let split = 0; split < SPLIT && messages <= count; split++) {
    messages += readdirSync(`${queue}/info/${split}`).length;
  }
  return messages > count;
}

/** How many messages there are, and how many of them are not preprocessed yet. Throws when we may not read. */
export function countQueue(queue: string): { messages: number; todo: number } {
  return { messages: queuedIds(queue).size, todo: fileIds(`${queue}/todo`).length };
}

/** The ids of all messages. Throws when we may not read. */
export function queuedIds(queue: string): Set<MessId> {
  // By their todo and info files: a mess file alone may be one that is being written.
  const known = new Set(fileIds(`${queue}/todo`));
  for (let split = 0; split < SPLIT; split++) {
    for (const id of fileIds(`${queue}/info/${split}`)) known.add(id);
  }
  return known;
}

/** As `ids`, of what are files: a queue of the big-todo patch has directories with numbers for names in todo. */
function fileIds(directory: string): MessId[] {
  const entries = readdirSync(directory, { withFileTypes: true });
  return entries.filter((entry) => entry.isFile() && isMessId(entry.name)).map(({ name }) => name);
}

function ids(directory: string): MessId[] {
  return readdirSync(directory).filter(isMessId);
}

/** The messages that have a file in these directories. */
type There = Readonly<Record<Channel | "bounce", Pick<ReadonlySet<MessId>, "has">>>;

function preprocessed(
  queue: string,
  id: MessId,
  options: { readonly there: There; readonly sieve: Sieve },
): Look {
  try {
    return readInfo(queue, id, options);
  } catch (error) {
    return oddOrThrow(queue, id, error);
  }
}

function readInfo(
  queue: string,
  id: MessId,
  { there, sieve }: { readonly there: There; readonly sieve: Sieve },
): QueuedMessage | typeof PASSED | null {
  const place = `${splitOf(id)}/${id}`;
  const path = `${queue}/info/${place}`;
  if (!FILE.read(path)) return null;
  const { mtimeMs: birth, ctimeMs } = FILE;
  const end = FILE.end(0);
  if (end < 1) return null;
  const sender = FILE.text(1, end);
  if (!sieve.head(sender, birth)) return PASSED;
  const mess = messOf(queue, id, { path, ctimeMs });
  if (!mess) return null;
  const recipients: QueuedRecipient[] = [];
  const retry: Record<Channel, number | null> = { local: null, remote: null };
  for (const channel of CHANNELS) {
    if (!there[channel].has(id)) continue;
    if (!FILE.read(`${queue}/${channel}/${place}`)) continue;
    retry[channel] = FILE.mtimeMs;
    addRecipients(channel, recipients);
  }
  return {
    id,
    size: mess.size,
    made: madeOf(mess),
    birth,
    sender,
    state: "preprocessed",
    bouncing: there.bounce.has(id),
    recipients,
    retry,
  };
}

/** The recipients in the file that was read last. An unfinished last record counts for C qmail as an end. */
function addRecipients(channel: Channel, recipients: QueuedRecipient[]): void {
  let at = 0;
  for (let end = FILE.end(at); end >= 0; end = FILE.end(at)) {
    const mark = FILE.bytes[at];
    if (mark === TO || mark === DONE) {
      recipients.push({ channel, address: FILE.text(at + 1, end), done: mark === DONE });
    }
    at = end + 1;
  }
}

function unprocessed(queue: string, id: MessId, sieve: Sieve): Look {
  try {
    return readTodoFile(queue, id, sieve);
  } catch (error) {
    return oddOrThrow(queue, id, error);
  }
}

function readTodoFile(
  queue: string,
  id: MessId,
  sieve: Sieve,
): QueuedMessage | typeof PASSED | null {
  const path = `${queue}/todo/${id}`;
  if (!FILE.read(path)) return null;
  const { mtimeMs: birth, ctimeMs } = FILE;
  const { sender, recipients } = todoEnvelope(FILE.bytes.subarray(0, FILE.length));
  if (!sieve.head(sender, birth)) return PASSED;
  const mess = messOf(queue, id, { path, ctimeMs });
  if (!mess) return null;
  return {
    id,
    size: mess.size,
    made: madeOf(mess),
    birth,
    sender,
    state: "todo",
    bouncing: false,
    recipients: recipients.map((address) => ({ channel: null, address, done: false })),
    retry: { local: null, remote: null },
  };
}

/**
 * The mess file of the message whose info or todo file was read before; null when that is not there any more.
 * Meanwhile another message may have got the number: what is done to it must not be done in the name of this one.
 */
function messOf(
  queue: string,
  id: MessId,
  before: { readonly path: string; readonly ctimeMs: number },
): Stats | null {
  const path = `${queue}/${fmtqfn("mess", id)}`;
  const mess = lstatSync(path, { throwIfNoEntry: false });
  if (mess && !mess.isFile()) throw notAFile(path, mess);
  const after = lstatSync(before.path, { throwIfNoEntry: false });
  return mess && after?.ctimeMs === before.ctimeMs ? mess : null;
}

/** A todo file's envelope; of a damaged one, which qmail-send complains about, nothing. */
export function todoEnvelope(bytes: Buffer): Envelope {
  try {
    return parseTodo(bytes);
  } catch (error) {
    if (!(error instanceof EnvelopeError)) throw error;
    return { sender: "", recipients: [] };
  }
}

const TO = 84;
const DONE = 68;

/** Most files fit: one buffer for all, and no question how long a file is. */
const USUAL = Buffer.allocUnsafeSlow(64 * 1024);

/** Longer ones are not made by any of us: no envelope is, nor what becomes of it. */
const SIZE_MAX = 4 * ENVELOPE_MAX;

/** What was read last. It is in the fields, so that a file costs no object. */
class ReadFile {
  bytes: Buffer = USUAL;
  length = 0;
  /** When the file was changed, and anything about it. */
  mtimeMs = 0;
  ctimeMs = 0;

  /** False when there is no such file. Throws NoFileError for what is none, and what nobody can have written. */
  read(path: string): boolean {
    const opened = openIfThere(path);
    if (opened === null) return false;
    const { fd, stat } = opened;
    try {
      this.mtimeMs = stat.mtimeMs;
      this.ctimeMs = stat.ctimeMs;
      this.bytes = USUAL;
      this.length = readSync(fd, USUAL, 0, USUAL.length, 0);
      if (this.length < USUAL.length) return true;
      if (stat.size > SIZE_MAX) throw new NoFileError(path, `it is ${stat.size} bytes long`);
      this.bytes = Buffer.allocUnsafe(Math.max(stat.size, USUAL.length));
      this.length = readSync(fd, this.bytes, 0, this.bytes.length, 0);
      return true;
    } finally {
      closeSync(fd);
    }
  }

  /** Where the record at `at` ends; -1 when it does not. */
  end(at: number): number {
    const end = this.bytes.indexOf(0, at);
    return end < this.length ? end : -1;
  }

  text(from: number, to: number): string {
    return this.bytes.toString("latin1", from, to);
  }
}

const FILE = new ReadFile();
