/**
 * qmail-queue: message on descriptor 0, envelope on descriptor 1, answer by exit code
 * (qmail-queue(8)). Needs no privilege: see drop.ts.
 */

import { fstatSync, readSync } from "node:fs";
import { EXIT, QQ } from "../exit.ts";
import { qmailHome } from "../home.ts";
import { EnvelopeError, parseEnvelope } from "./envelope.ts";
import { localQueue } from "./local-queue.ts";
import { DEATH_SECONDS, ENVELOPE_MAX } from "./protocol.ts";

const CHUNK = 64 * 1024;

/** Reads descriptor `fd` to its end, handing on each piece. Throws on a read error. */
function readAll(fd: number, take: (bytes: Buffer) => void): void {
  fstatSync(fd);
  for (;;) {
    const buffer = Buffer.allocUnsafe(CHUNK);
    const read = readSync(fd, buffer);
    if (read === 0) return;
    take(buffer.subarray(0, read));
  }
}

async function main(): Promise<number> {
  // QMAILQUEUE names us, or a filter that calls us: to look at it again would be a loop.
  const message = localQueue(qmailHome(), {}).open();
  const started = Date.now();
  try {
    readAll(0, (bytes) => message.put(bytes));
    const envelope: Buffer[] = [];
    let size = 0;
    readAll(1, (bytes) => {
      size += bytes.length;
      if (size > ENVELOPE_MAX) throw new EnvelopeError("format", "envelope too long");
      envelope.push(bytes);
    });
    const { sender, recipients } = parseEnvelope(Buffer.concat(envelope));
    if (Date.now() - started > DEATH_SECONDS * 1000) {
      message.abort();
      return QQ.timeout;
    }
    const result = await message.close(sender, recipients);
    return result.ok ? EXIT.ok : result.code;
  } catch (error) {
    message.abort();
    if (error instanceof EnvelopeError) {
      return error.reason === "address" ? QQ.addressTooLong : QQ.badEnvelope;
    }
    return QQ.readError;
  }
}

if (import.meta.main) {
  process.title = "qmail-queue";
  process.exitCode = await main();
}
