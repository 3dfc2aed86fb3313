/** `qmailctl queue cat`: a message as it lies in the queue, byte by byte; on a terminal what a person can read of it. */

import { createReadStream } from "node:fs";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { CommandError } from "../output.ts";
import { printableLines } from "../printable.ts";
import { namedMessages } from "./one.ts";
import { openMess } from "./open-message.ts";
import { closed } from "./select.ts";

export interface CatOptions {
  readonly home: string;
  readonly ids: readonly string[];
  readonly to: Writable;
  /** For a terminal: bytes that would steer it are not shown. */
  readonly printable?: boolean;
}

/** Writes the messages `ids` to `to`, one behind the other. */
export async function queueCat({ home, ids, to, printable = false }: CatOptions): Promise<void> {
  for (const message of namedMessages(home, ids)) {
    try {
      const fd = openMess(`${home}/queue`, message);
      if (fd === null) throw new CommandError(`message ${message.id} has just left the queue`);
      const bytes = createReadStream("", { fd, start: 0 });
      const shown = printable ? [bytes, printableLines()] : [bytes];
      await pipeline([...shown, to], { end: false });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A reader that has had enough is no error.
      if (code === "EPIPE" || code === "ERR_STREAM_PREMATURE_CLOSE") return;
      throw closed(error);
    }
  }
}
