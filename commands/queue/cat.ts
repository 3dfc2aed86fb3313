/** `qmailctl queue cat`: a message as it lies in the queue, byte by byte; on a terminal what a person can read of it. */

import { createReadStream } from "node:fs";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fmtqfn } from "../../qmail/queue/fmtqfn.ts";
import { CommandError } from "../output.ts";
import { printableLines } from "../printable.ts";
import { namedMessages } from "./one.ts";
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
  for (const { id } of namedMessages(home, ids)) {
    try {
      const bytes = createReadStream(`${home}/queue/${fmtqfn("mess", id)}`);
      const shown = printable ? [bytes, printableLines()] : [bytes];
      await pipeline([...shown, to], { end: false });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A reader that has had enough is no error.
      if (code === "EPIPE" || code === "ERR_STREAM_PREMATURE_CLOSE") return;
      if (code === "ENOENT") throw new CommandError(`message ${id} has just left the queue`);
      throw closed(error);
    }
  }
}
