/** Message-IDs of what is in the queue: qmail-send's log has none. */

import { closeSync, readdirSync, readSync } from "node:fs";
import { openFile } from "../../../qmail/files/foreign-directory.ts";
import { findMessageId, sameMessageId } from "../../../qmail/message-id.ts";

/** A header is looked at so far. */
const HEADER_MAX = 64 * 1024;

/** Numbers of the messages in the queue of `home` that are called `msgid`; none where we may not look. */
export function queuedById(home: string, msgid: string): string[] {
  const found: string[] = [];
  const bytes = Buffer.allocUnsafe(HEADER_MAX);
  for (const split of names(`${home}/queue/mess`)) {
    for (const id of names(`${home}/queue/mess/${split}`)) {
      const header = readHeader(`${home}/queue/mess/${split}/${id}`, bytes);
      const written = header === null ? null : findMessageId(header);
      if (written !== null && sameMessageId(written, msgid)) found.push(id);
    }
  }
  return found;
}

function names(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

/** Null for a message that has gone since, or is not ours to read. */
function readHeader(path: string, bytes: Buffer): string | null {
  let fd: number;
  try {
    ({ fd } = openFile(path));
  } catch {
    return null;
  }
  try {
    const text = bytes.toString("latin1", 0, readSync(fd, bytes, 0, bytes.length, 0));
    const end = text.indexOf("\n\n");
    return end < 0 ? text : text.slice(0, end);
  } finally {
    closeSync(fd);
  }
}
