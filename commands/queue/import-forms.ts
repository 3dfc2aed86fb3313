/**
 * Messages out of what `queue export` writes, one after another: tar or mbox (docs/queue.md). Each lies in a file
 * of its own while it is used, so that a message of any size costs no memory.
 */

import { closeSync, openSync, writeSync } from "node:fs";
import { Header } from "tar";
import { parseTodo } from "../../qmail/queue/envelope.ts";
import { CommandError } from "../output.ts";

export interface ImportedMessage {
  /** What it is called in errors: "message 4 (mess/1234)". */
  readonly label: string;
  readonly sender: string;
  /** Those that are left, with the channel they were on; null in todo and mbox, where they stand as they were written. */
  readonly recipients: readonly { address: string; channel: "local" | "remote" | null }[];
  /** What a bounce begun says of others that failed; empty without one. */
  readonly bounce: string;
  /** Seconds since 1970. */
  readonly birth: number;
}

/** Envelopes are read into memory: a longer one is none. */
const ENVELOPE_MAX = 64 * 1024 * 1024;
const BLOCK = 512;
const CHUNK = 64 * 1024;
const GREATER = 62;

/** Reads exactly as much as is asked for. */
class Source {
  readonly #input: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(input: AsyncIterable<Buffer>) {
    this.#input = input[Symbol.asyncIterator]();
  }

  /** At most `most` bytes, as they come; null at the end. */
  async some(most: number): Promise<Buffer | null> {
    while (this.#rest.length === 0) {
      const { value, done } = await this.#input.next();
      if (done) return null;
      this.#rest = Buffer.from(value);
    }
    const bytes = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(bytes.length);
    return bytes;
  }

  /** The next `length` bytes; fewer at the end. */
  async bytes(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let left = length; left > 0; ) {
      const part = await this.some(left);
      if (!part) break;
      parts.push(part);
      left -= part.length;
    }
    return Buffer.concat(parts);
  }

  /** Puts `bytes` back before what is to come. */
  unread(bytes: Buffer): void {
    this.#rest = Buffer.concat([bytes, this.#rest]);
  }
}

/**
 * The messages in `input`, whose form its beginning tells. Of each the text lies in the file `spool` until the
 * next is asked for. Throws CommandError on what export does not write.
 */
export async function* importedMessages(
  input: AsyncIterable<Buffer>,
  spool: string,
): AsyncGenerator<ImportedMessage> {
  const source = new Source(input);
  const beginning = await source.bytes(5);
  source.unread(beginning);
  if (beginning.length === 0) return;
  if (beginning.toString("latin1") === "From ") yield* fromMbox(source, spool);
  else yield* fromTar(source, spool);
}

async function* fromTar(source: Source, spool: string): AsyncGenerator<ImportedMessage> {
  let envelope = new Map<string, { bytes: Buffer; mtime: number }>();
  let count = 0;
  for (;;) {
    const block = await source.bytes(BLOCK);
    if (block.length === 0) throw broken("the archive has no end");
    if (block.length < BLOCK) throw broken("it is cut off, or no archive");
    const header = new Header(block, 0);
    if (header.nullBlock) break;
    const { path = "", size = 0, type } = header;
    if (!header.cksumValid) throw broken("it is neither an archive nor an mbox");
    const padding = (BLOCK - (size % BLOCK)) % BLOCK;
    const [, name, id] = /^(?:\.\/)?(todo|info|local|remote|bounce|mess)\/(\d+)$/.exec(path) ?? [];
    if (type !== "File" || name === undefined) {
      await copy(source, { size, padding, path }, null);
    } else if (name === "mess") {
      await copy(source, { size, padding, path }, spool);
      yield fromFiles(`message ${++count} (${path})`, envelope, id as string);
      envelope = new Map();
    } else {
      if (size > ENVELOPE_MAX) throw broken(`${path} is too long`);
      const bytes = await source.bytes(size);
      if (bytes.length < size) throw broken(`it ends in ${path}`);
      await source.bytes(padding);
      envelope.set(`${name}/${id}`, { bytes, mtime: (header.mtime?.getTime() ?? 0) / 1000 });
    }
  }
  if (envelope.size > 0) throw broken(`there is no message to ${[...envelope.keys()][0]}`);
}

/** Moves an entry's bytes to the file `to`, or nowhere. */
async function copy(
  source: Source,
  { size, padding, path }: { size: number; padding: number; path: string },
  to: string | null,
): Promise<void> {
  const fd = to === null ? -1 : openSync(to, "w", 0o600);
  try {
    for (let left = size; left > 0; ) {
      const bytes = await source.some(Math.min(left, CHUNK));
      if (!bytes) throw broken(`it ends in ${path}`);
      if (fd >= 0) write(fd, bytes);
      left -= bytes.length;
    }
  } finally {
    if (fd >= 0) closeSync(fd);
  }
  await source.bytes(padding);
}

function fromFiles(
  label: string,
  files: ReadonlyMap<string, { bytes: Buffer; mtime: number }>,
  id: string,
): ImportedMessage {
  const todo = files.get(`todo/${id}`);
  if (todo) {
    const { sender, recipients } = parseTodo(todo.bytes);
    return {
      label,
      sender,
      recipients: recipients.map((address) => ({ address, channel: null })),
      bounce: "",
      birth: todo.mtime,
    };
  }
  const info = files.get(`info/${id}`);
  const head = info?.bytes.toString("latin1") ?? "";
  if (!info || head[0] !== "F" || !head.includes("\0")) {
    throw broken(`${label} has no envelope before it`);
  }
  const left = (["local", "remote"] as const).flatMap((channel) =>
    (files.get(`${channel}/${id}`)?.bytes.toString("latin1") ?? "")
      .split("\0")
      .filter((record) => record[0] === "T")
      .map((record) => ({ address: record.slice(1), channel })),
  );
  return {
    label,
    sender: head.slice(1, head.indexOf("\0")),
    recipients: left,
    bounce: files.get(`bounce/${id}`)?.bytes.toString("latin1") ?? "",
    birth: info.mtime,
  };
}

async function* fromMbox(source: Source, spool: string): AsyncGenerator<ImportedMessage> {
  const lines = linesOf(source);
  let line = await lines.next();
  for (let count = 1; !line.done; count++) {
    const label = `message ${count}`;
    const recipients: string[] = [];
    let sender: string | null = null;
    line = await lines.next();
    for (; !line.done; line = await lines.next()) {
      const text = line.value.toString("latin1");
      const [, field, address = ""] = /^X-Envelope-(From|To): <(.*)>\n$/s.exec(text) ?? [];
      if (field === undefined) break;
      if (field === "From") sender = address;
      else recipients.push(address);
    }
    const fd = openSync(spool, "w", 0o600);
    try {
      // The empty line before the next message belongs to neither.
      let held = false;
      for (; !line.done && !startsMessage(line.value); line = await lines.next()) {
        if (held) write(fd, Buffer.from("\n"));
        held = line.value.length === 1;
        if (!held) write(fd, unquoted(line.value));
      }
    } finally {
      closeSync(fd);
    }
    if (sender === null) {
      throw broken(`${label} has no X-Envelope-From: only an mbox that export wrote has envelopes`);
    }
    yield {
      label,
      sender,
      recipients: recipients.map((address) => ({ address, channel: null })),
      bounce: "",
      birth: 0,
    };
  }
}

/** Lines with their newlines, the last one perhaps without. */
async function* linesOf(source: Source): AsyncGenerator<Buffer, undefined> {
  let parts: Buffer[] = [];
  for (let bytes = await source.some(CHUNK); bytes; bytes = await source.some(CHUNK)) {
    for (let from = 0; from < bytes.length; ) {
      const end = bytes.indexOf(10, from) + 1;
      parts.push(bytes.subarray(from, end === 0 ? undefined : end));
      if (end === 0) break;
      yield parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
      parts = [];
      from = end;
    }
  }
  if (parts.length > 0) yield Buffer.concat(parts);
}

/** What a message's own lines never begin with: there it is quoted. */
function startsMessage(line: Buffer): boolean {
  return line.toString("latin1", 0, 5) === "From ";
}

/** A line without the `>` that quotes it. */
function unquoted(line: Buffer): Buffer {
  let at = 0;
  while (line[at] === GREATER) at++;
  return at > 0 && startsMessage(line.subarray(at)) ? line.subarray(1) : line;
}

function write(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

function broken(what: string): CommandError {
  return new CommandError(`cannot import it: ${what}`, {
    hints: ["it takes what qmailctl queue export --format tar or mbox has written"],
  });
}
