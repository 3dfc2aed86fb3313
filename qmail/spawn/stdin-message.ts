/** The message on descriptor 0: the classic door of qmail-local and qmail-remote. */

import { fstatSync, readSync } from "node:fs";
import { bufferMessage, type Message } from "./message.ts";

const CHUNK = 64 * 1024;

/** Descriptor 0: a file is read piece by piece, as often as needed; a pipe once, into memory. */
export function stdinMessage(): Message {
  return seekableStdin() ?? bufferMessage(readPipe());
}

/** Descriptor 0 from its beginning, wherever others have read to; null when it is no file. */
export function seekableStdin(): Message | null {
  const stat = fstatSync(0);
  if (!stat.isFile()) return null;
  return {
    size: stat.size,
    async *chunks() {
      for (let at = 0; ; ) {
        const chunk = Buffer.allocUnsafe(CHUNK);
        const count = readSync(0, chunk, 0, CHUNK, at);
        if (count === 0) return;
        yield chunk.subarray(0, count);
        at += count;
      }
    },
  };
}

function readPipe(): Buffer {
  const chunks: Buffer[] = [];
  for (;;) {
    const chunk = Buffer.allocUnsafe(CHUNK);
    const count = readSync(0, chunk);
    if (count === 0) return Buffer.concat(chunks);
    chunks.push(chunk.subarray(0, count));
  }
}
