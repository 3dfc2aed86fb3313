/**
 * Who is called what: the name-address table of ofmipd (ofmipname(8)), lines of `key:name:address:`. For a
 * message from `key` the sender becomes `address`, and its From field shows `name` and `address`. In the cdb the
 * data of `key` are name NUL address. Texts are byte strings.
 */

import { type CdbFile, cdbGet } from "../cdb/cdb.ts";

export interface Name {
  readonly name: string;
  readonly address: string;
}

/** A line that is none of a table. */
export class NameError extends Error {
  /** Counted from 1. */
  constructor(line: string, number: number) {
    super(`line ${number} is not key:name:address: "${line}"`);
  }
}

/** The records of the table `text`, in its order; a later line for the same key does not count. Throws NameError. */
export function* compileNames(text: string): Generator<readonly [key: Buffer, data: Buffer]> {
  for (const [at, line] of text.split("\n").entries()) {
    if (line.startsWith("#") || line.trim() === "") continue;
    const match = /^([^:]+):([^:]*):([^:]+):/.exec(line);
    if (!match || line.includes("\0")) throw new NameError(line, at + 1);
    const [, key = "", name = "", address = ""] = match;
    yield [Buffer.from(key, "latin1"), Buffer.from(`${name}\0${address}`, "latin1")];
  }
}

/** What `file` says of `address`; null: nothing. Throws when it cannot be read or is not there. */
export function findName(file: CdbFile, address: string): Name | null {
  const cdb = file.read();
  if (!cdb) throw new Error("the table of names is missing: make it with ofmipname");
  const data = cdbGet(cdb, Buffer.from(address, "latin1"))?.toString("latin1");
  if (data === undefined) return null;
  const end = data.indexOf("\0");
  return end < 0 ? null : { name: data.slice(0, end), address: data.slice(end + 1) };
}
