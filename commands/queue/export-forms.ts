/**
 * A message in the forms that `queue export` writes, as bytes in pieces.
 *
 * mbox and eml are for people and mail programs: the message, with its sender and the recipients that are
 * left in X-Envelope-From and X-Envelope-To before it. tar is for the queue: the files of the queue itself,
 * byte for byte and with their times, so that done marks, birth and next tries are in it. docs/queue.md
 * says what is where.
 */

import { Header } from "tar";
import { fromLine } from "../../qmail/local/environment.ts";
import { FromQuoter } from "../../qmail/local/from-quoter.ts";
import { contents, envelopeOf, type OpenMessage } from "./open-message.ts";

const BLOCK = 512;

/** The entries of one message: its envelope, then `mess/ID`. */
export function* tarEntries(message: OpenMessage): Generator<Buffer> {
  const { id, size, mtime, files } = message;
  for (const { name, bytes, mtime: time } of files) {
    yield tarHeader(`${name}/${id}`, bytes.length, time);
    yield Buffer.concat([bytes, padding(bytes.length)]);
  }
  yield tarHeader(`mess/${id}`, size, mtime);
  yield* contents(message);
  yield padding(size);
}

/** What ends an archive. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * BLOCK);
}

function tarHeader(path: string, size: number, mtime: number): Buffer {
  const header = new Header({
    path,
    size,
    mtime: new Date(mtime * 1000),
    mode: 0o600,
    type: "File",
  });
  header.encode();
  return header.block as Buffer;
}

function padding(size: number): Buffer {
  return Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
}

/** The message in an mbox, its lines quoted so that they can be had back as they were. */
export function* mboxEntry(message: OpenMessage): Generator<Buffer> {
  const { sender, birth } = envelopeOf(message);
  yield Buffer.from(fromLine(sender, birth), "latin1");
  const quote = new FromQuoter();
  yield* quote.push(envelopeFields(message));
  for (const bytes of contents(message)) yield* quote.push(bytes);
  yield* quote.end();
}

/** The message as a file of its own. */
export function* emlFile(message: OpenMessage): Generator<Buffer> {
  yield envelopeFields(message);
  yield* contents(message);
}

function envelopeFields(message: OpenMessage): Buffer {
  const { sender, left } = envelopeOf(message);
  const safe = (address: string) => address.replace(/[\r\n]/g, "_");
  const lines = [
    `X-Envelope-From: <${safe(sender)}>`,
    ...left.map((to) => `X-Envelope-To: <${safe(to)}>`),
  ];
  return Buffer.from(`${lines.join("\n")}\n`, "latin1");
}
