/**
 * A queued message with its files, in one state: all are there when it is opened, or it is not. A number may be
 * another message's at any moment, so what was opened and read is looked at once more by name.
 */

import { closeSync, fstatSync, lstatSync, readFileSync, readSync, type Stats } from "node:fs";
import { openIfThere } from "../../qmail/files/foreign-directory.ts";
import { fmtqfn, type MessId } from "../../qmail/queue/fmtqfn.ts";
import { madeOf } from "../../qmail/queue/made.ts";
import { type QueuedMessage, todoEnvelope } from "../../qmail/queue/queue-read.ts";

/** Which files make an envelope: todo alone, or info with what else there is. */
export const ENVELOPE_FILES = ["todo", "info", "local", "remote", "bounce"] as const;
export type EnvelopeFile = (typeof ENVELOPE_FILES)[number];

export interface QueueFile {
  readonly name: EnvelopeFile;
  readonly bytes: Buffer;
  /** Seconds since 1970. */
  readonly mtime: number;
}

export interface OpenMessage {
  readonly id: MessId;
  /** The message itself, open for reading: it stays readable when it is delivered meanwhile. */
  readonly fd: number;
  readonly size: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  readonly files: readonly QueueFile[];
}

/** Which message: its number alone may be another's by now. */
export type Which = Pick<QueuedMessage, "id" | "made">;

/** A message that is still changing after so many looks is left out: it is about to go. */
const LOOKS_MAX = 10;

/** Opens the message in `queue`; null when it is not there any more. Whoever gets it closes `fd`. */
export function openMessage(queue: string, which: Which): OpenMessage | null {
  for (let look = 1; look <= LOOKS_MAX; look++) {
    const fd = openMess(queue, which);
    if (fd === null) return null;
    let message: OpenMessage | "changed" | null = null;
    try {
      message = lookAt(queue, which.id, fd);
    } finally {
      if (message === null || message === "changed") closeSync(fd);
    }
    if (message !== "changed") return message;
  }
  return null;
}

/** The mess file of the message, open; null when there is none, or another's. */
export function openMess(queue: string, { id, made }: Which): number | null {
  const opened = openIfThere(`${queue}/${fmtqfn("mess", id)}`);
  if (opened === null) return null;
  if (madeOf(opened.stat) === made) return opened.fd;
  closeSync(opened.fd);
  return null;
}

function lookAt(queue: string, id: MessId, fd: number): OpenMessage | "changed" | null {
  const envelope = readEnvelope(queue, id);
  if (!envelope) return null;
  const stat = fstatSync(fd);
  const mess = statOrNull(`${queue}/${fmtqfn("mess", id)}`);
  const { path, head, files } = envelope;
  const after = statOrNull(path);
  const same = isSame(stat, mess) && isSame(head, after) && head.ctimeMs === after?.ctimeMs;
  if (!same) return "changed";
  return { id, fd, size: stat.size, mtime: Math.floor(stat.mtimeMs / 1000), files };
}

function isSame(one: Stats, other: Stats | null): boolean {
  return one.dev === other?.dev && one.ino === other.ino && one.mtimeMs === other.mtimeMs;
}

function statOrNull(path: string): Stats | null {
  return lstatSync(path, { throwIfNoEntry: false }) ?? null;
}

interface Envelope {
  /** The file that says whose envelope it is, and what stat(2) said of it. */
  readonly path: string;
  readonly head: Stats;
  readonly files: readonly QueueFile[];
}

/** In todo nothing else counts; without todo and info there is no message. */
function readEnvelope(queue: string, id: MessId): Envelope | null {
  const read = (name: EnvelopeFile) => readFile(`${queue}/${fmtqfn(name, id)}`, name);
  const first = read("todo") ?? read("info");
  if (!first) return null;
  const { path, stat: head } = first;
  const others = first.file.name === "todo" ? [] : (["local", "remote", "bounce"] as const);
  const all = [first, ...others.map(read).filter((each) => each !== null)];
  return { path, head, files: all.map(({ file }) => file) };
}

function readFile(
  path: string,
  name: EnvelopeFile,
): { readonly path: string; readonly stat: Stats; readonly file: QueueFile } | null {
  const opened = openIfThere(path);
  if (opened === null) return null;
  const { fd, stat } = opened;
  try {
    const bytes = readFileSync(fd);
    return { path, stat, file: { name, bytes, mtime: Math.floor(stat.mtimeMs / 1000) } };
  } finally {
    closeSync(fd);
  }
}

/** Sender, recipients left, and birth (seconds since 1970). */
export function envelopeOf({ files }: OpenMessage): {
  sender: string;
  left: string[];
  birth: number;
} {
  const [first] = files;
  const birth = first?.mtime ?? 0;
  if (first?.name === "todo") {
    const { sender, recipients } = todoEnvelope(first.bytes);
    return { sender, left: [...recipients], birth };
  }
  const [record = ""] = first?.bytes.toString("latin1").split("\0") ?? [];
  const records = files
    .filter(({ name }) => name === "local" || name === "remote")
    .flatMap(({ bytes }) => bytes.toString("latin1").split("\0").slice(0, -1));
  const left = records.filter((each) => each[0] === "T").map((each) => each.slice(1));
  return { sender: record.slice(1), left, birth };
}

const CHUNK = 64 * 1024;

/** The bytes of the message, in pieces that hold until the next is asked for; never more than `size`. */
export function* contents({ fd, size }: OpenMessage): Generator<Buffer> {
  const buffer = Buffer.allocUnsafe(CHUNK);
  for (let at = 0; at < size; ) {
    const count = readSync(fd, buffer, 0, Math.min(CHUNK, size - at), at);
    if (count === 0) throw new Error(`the message is ${size - at} bytes shorter than it was`);
    at += count;
    yield buffer.subarray(0, count);
  }
}
