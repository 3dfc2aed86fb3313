/** Finding a text in a queued message: in its envelope, its header, its body. */

import { closeSync, readSync } from "node:fs";
import { openFile } from "../../qmail/files/foreign-directory.ts";
import { fmtqfn } from "../../qmail/queue/fmtqfn.ts";
import type { QueuedMessage } from "../../qmail/queue/queue-read.ts";
import { parseHeader } from "./header.ts";

/** Where a text was found, and what is around it. */
export interface Found {
  readonly where: "sender" | "recipient" | "header" | "body";
  readonly text: string;
}

/** So much of a message is in memory at once; its header, as a rule, is in the first. */
const CHUNK = 256 * 1024;
const BUFFER = Buffer.allocUnsafeSlow(CHUNK);
/** What is shown before and behind the text. */
const AROUND = 30;

/** Looks for one text; capitals do not count. */
export class Searcher {
  readonly #queue: string;
  /** As bytes, in lower case. */
  readonly #bytes: string;
  /** As characters, for what is decoded. */
  readonly #text: string;

  constructor(queue: string, text: string) {
    this.#queue = queue;
    this.#text = text.toLowerCase();
    this.#bytes = Buffer.from(text).toString("latin1").toLowerCase();
  }

  /** The first place in `message`; null without one. What vanishes meanwhile has none. */
  find(message: QueuedMessage): Found | null {
    if (this.#in(message.sender)) return { where: "sender", text: message.sender };
    const recipient = message.recipients.find(({ address }) => this.#in(address));
    if (recipient) return { where: "recipient", text: recipient.address };
    try {
      return this.#inFile(`${this.#queue}/${fmtqfn("mess", message.id)}`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }
  }

  #in(bytes: string): boolean {
    return bytes.toLowerCase().includes(this.#bytes);
  }

  #inFile(path: string): Found | null {
    const { fd } = openFile(path);
    try {
      let before = "";
      for (let first = true; ; first = false) {
        const count = readSync(fd, BUFFER, 0, CHUNK, null);
        if (count === 0) return null;
        const bytes = BUFFER.toString("latin1", 0, count);
        const headerEnd = first ? endOfHeader(bytes) : 0;
        const text = before + bytes;
        const at = text.toLowerCase().indexOf(this.#bytes);
        const decoded = at < 0 && first && this.#decoded(bytes.slice(0, headerEnd));
        if (decoded) return decoded;
        if (at >= 0) {
          return { where: at < headerEnd ? "header" : "body", text: around(text, at, this.#bytes) };
        }
        before = text.slice(Math.max(0, text.length - this.#bytes.length + 1));
      }
    } finally {
      closeSync(fd);
    }
  }

  /** In encoded words. */
  #decoded(header: string): Found | null {
    if (!header.includes("=?")) return null;
    const { fields } = parseHeader(Buffer.from(header, "latin1"));
    const field = fields.find(({ value }) => value.toLowerCase().includes(this.#text));
    return field ? { where: "header", text: bytesOf(`${field.name}: ${field.value}`) } : null;
  }
}

function bytesOf(text: string): string {
  return Buffer.from(text).toString("latin1");
}

function endOfHeader(text: string): number {
  const end = /^\r?\n|\n\r?\n/.exec(text);
  return end ? end.index : text.length;
}

/** The text at `at` and its surroundings in the same line. */
function around(text: string, at: number, wanted: string): string {
  const from = Math.max(0, at - AROUND, text.lastIndexOf("\n", at - 1) + 1);
  const end = text.indexOf("\n", at + wanted.length);
  const to = Math.min(end < 0 ? text.length : end, at + wanted.length + AROUND);
  return text.slice(from, to).trim();
}
