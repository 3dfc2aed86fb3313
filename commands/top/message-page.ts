/** All about a row, as a page to read: of a message its header too. */

import { closeSync, readSync } from "node:fs";
import { openFile } from "../../qmail/files/foreign-directory.ts";
import { fmtqfn } from "../../qmail/queue/fmtqfn.ts";
import { printable } from "../printable.ts";
import type { Row } from "./table.ts";

/** So much of a header is shown. */
const HEADER_MAX = 16 * 1024;

export interface Page {
  readonly title: string;
  readonly lines: readonly string[];
}

/** The page about `row`. */
export function pageOf(row: Row, home: string): Page {
  const { id, more } = row;
  if (id === null) return { title: row.cells[0]?.text ?? "", lines: more };
  const header = readHeader(`${home}/queue/${fmtqfn("mess", id)}`);
  return { title: `Message ${id}`, lines: [...more, "", ...header.map(printable)] };
}

function readHeader(path: string): string[] {
  try {
    const { fd } = openFile(path);
    try {
      const bytes = Buffer.alloc(HEADER_MAX);
      const text = bytes.toString("latin1", 0, readSync(fd, bytes, 0, HEADER_MAX, 0));
      return (text.split(/\n\r?\n/, 1)[0] ?? "").replaceAll("\t", "    ").split(/\r?\n/);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return [code === "ENOENT" ? "It is in the queue no more." : `It cannot be read: ${message}`];
  }
}
