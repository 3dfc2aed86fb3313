/**
 * qmail-queue: message on descriptor 0, envelope on descriptor 1, answer by exit code
 * (qmail-queue(8)). Needs no privilege: see drop.ts.
 */

import { QQ } from "../exit.ts";
import { refuseClosed } from "../files/closed.ts";
import { qmailHome } from "../home.ts";
import { type Envelope, EnvelopeError, endsEnvelope, parseEnvelope } from "./envelope.ts";
import { ENVELOPE_CODES, QueueError } from "./intake.ts";
import { dropQueue } from "./local-queue.ts";
import { DEATH_SECONDS, ENVELOPE_MAX } from "./protocol.ts";
import type { Qmail } from "./qmail.ts";
import { readDescriptor } from "./read-descriptor.ts";

/** Reads both descriptors and queues the message. Returns the exit code. */
async function queue(message: Qmail): Promise<number> {
  for await (const bytes of descriptor(0)) message.put(bytes);
  const { sender, recipients } = await readEnvelope();
  const result = await message.close(sender, recipients);
  return result.ok ? QQ.ok : result.code;
}

/** The envelope on descriptor 1: to its end, not further, since the caller may keep the pipe open. */
async function readEnvelope(): Promise<Envelope> {
  const chunks: Buffer[] = [];
  let size = 0;
  let last: number | undefined;
  for await (const bytes of descriptor(1)) {
    size += bytes.length;
    if (size > ENVELOPE_MAX) throw new QueueError(QQ.noMemory, "envelope too long");
    chunks.push(bytes);
    if (endsEnvelope(last, bytes)) break;
    last = bytes.at(-1);
  }
  return parseEnvelope(Buffer.concat(chunks));
}

async function* descriptor(fd: number): AsyncGenerator<Buffer> {
  try {
    refuseClosed(fd);
    yield* readDescriptor(fd);
  } catch (error) {
    throw new QueueError(QQ.readError, `cannot read descriptor ${fd}`, error);
  }
}

function exitCode(error: unknown): number {
  if (error instanceof QueueError) return error.code;
  return error instanceof EnvelopeError ? ENVELOPE_CODES[error.reason] : QQ.internalBug;
}

/** Leaves with `code`, whatever is still to be read; nothing stays behind. */
function die(message: Qmail, code: number): never {
  message.abort();
  process.exit(code);
}

if (import.meta.main) {
  process.title = "qmail-queue";
  // QMAILQUEUE names us, or a filter that calls us: to look at it again would be a loop.
  const message = dropQueue(qmailHome()).open();
  setTimeout(() => die(message, QQ.timeout), DEATH_SECONDS * 1000);
  try {
    process.exit(await queue(message));
  } catch (error) {
    die(message, exitCode(error));
  }
}
