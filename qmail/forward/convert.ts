/** What the programs share that make a binary file from a text or a text from a binary file. */

import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, writeSync } from "node:fs";
import { makeCdb } from "../cdb/cdbmake.ts";
import { EXIT } from "../exit.ts";
import { fsPath } from "../files/bytes.ts";
import { type Outcome, refused } from "../inject/context.ts";
import { systemText } from "../local/failure.ts";
import { ListError } from "./sendmail-list.ts";
import { TableError, type TableRecord } from "./table.ts";

/** Readable for all: fastforward asks for it. */
const MODE = 0o644;

/** What could not be read or written. */
export class FileTrouble extends Error {}

/** The outcome of `action`, with what it throws as it is said. */
export async function outcomeOf(action: () => Promise<void> | void): Promise<Outcome> {
  try {
    await action();
    return { code: EXIT.ok, message: "" };
  } catch (error) {
    if (error instanceof TableError) return refused(error.message);
    if (error instanceof FileTrouble || error instanceof ListError) {
      return { code: EXIT.soft, message: error.message };
    }
    throw error;
  }
}

/** Writes `bytes` to `temporary`, durably, and moves it to `file`. Throws FileTrouble. */
export function replace(file: string, temporary: string, bytes: Buffer): void {
  const fd = trying(`create ${temporary}`, () => openSync(fsPath(temporary), "w", MODE));
  try {
    trying(`write to ${temporary}`, () => {
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
      // Whatever the umask is.
      fchmodSync(fd, MODE);
      fsyncSync(fd);
    });
  } finally {
    closeSync(fd);
  }
  trying(`move ${temporary} to ${file}`, () => renameSync(fsPath(temporary), fsPath(file)));
}

/** What `action` returns; its error as FileTrouble: "unable to WHAT: why". */
export function trying<T>(what: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new FileTrouble(`unable to ${what}: ${systemText(error)}`);
  }
}

/** All of `input` as a byte string. Throws FileTrouble. */
export async function readInput(input: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of input) chunks.push(chunk);
  } catch (error) {
    throw new FileTrouble(`unable to read input: ${systemText(error)}`);
  }
  return Buffer.concat(chunks).toString("latin1");
}

/** The cdb with `records`. */
export function tableCdb(records: readonly TableRecord[]): Buffer {
  return makeCdb(
    records.map(({ key, data }) => [Buffer.from(key, "latin1"), Buffer.from(data, "latin1")]),
  );
}
