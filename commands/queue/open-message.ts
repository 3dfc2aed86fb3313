/** A queued message with its files, in one state: all are there when it is opened, or it is not. */

import { closeSync, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import { fmtqfn, type MessId } from "../../qmail/queue/fmtqfn.ts";
import { todoEnvelope } from "../../qmail/queue/queue-read.ts";

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

/** Opens the message `id` in `queue`; null when it is not there any more. Whoever gets it closes `fd`. */
export function openMessage(queue: string, id: MessId): OpenMessage | null {
  const fd = openOrNull(`${queue}/${fmtqfn("mess", id)}`);
  if (fd === null) return null;
  const files = envelopeFiles(queue, id);
  if (files === null) {
    closeSync(fd);
    return null;
  }
  const { size, mtimeMs } = fstatSync(fd);
  return { id, fd, size, mtime: Math.floor(mtimeMs / 1000), files };
}

/** In todo nothing else counts; without todo and info there is no message. */
function envelopeFiles(queue: string, id: MessId): QueueFile[] | null {
  const read = (name: EnvelopeFile) => readFile(`${queue}/${fmtqfn(name, id)}`, name);
  const todo = read("todo");
  if (todo) return [todo];
  const info = read("info");
  if (!info) return null;
  const others = (["local", "remote", "bounce"] as const).map(read);
  return [info, ...others.filter((file) => file !== null)];
}

function readFile(path: string, name: EnvelopeFile): QueueFile | null {
  const fd = openOrNull(path);
  if (fd === null) return null;
  try {
    return { name, bytes: readFileSync(fd), mtime: Math.floor(fstatSync(fd).mtimeMs / 1000) };
  } finally {
    closeSync(fd);
  }
}

function openOrNull(path: string): number | null {
  try {
    return openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
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
