/** users/assign as text, and the users/cdb that qmail-lspawn reads (qmail-users(5)). Pure. */

import { type CdbBytes, cdbGet } from "../cdb/cdb.ts";
import { makeCdb } from "../cdb/cdbmake.ts";
import { lowerAscii } from "../control/constmap.ts";

/** Name, uid, gid, home, dash, extension: whose an address is, and which .qmail files are asked. */
export interface Nughde {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly dash: string;
  readonly ext: string;
}

/** users/assign is not what qmail-users(5) says; `line` counts from 1. */
export class AssignError extends Error {
  readonly line: number;

  constructor(line: number, what: string) {
    super(`users/assign line ${line}: ${what}`);
    this.line = line;
  }
}

/** Key of the record that holds the break characters. */
const BREAKS = Buffer.alloc(0);

/**
 * The cdb for the text of users/assign. A line says what `local` or (`+`) what begins with it stands for;
 * only lines before the one with the dot count. Throws AssignError.
 */
export function compileAssign(text: string): Buffer {
  const records: [Buffer, Buffer][] = [];
  let breaks = "";
  for (const [at, line] of assignLines(text).entries()) {
    const [head, ...fields] = line.split(":");
    if (!head || fields.length < 7 || line.includes("\0")) {
      throw new AssignError(at + 1, `bad format: "${line}"`);
    }
    const name = lowerAscii(head.slice(1));
    // As qmail-newu has it, everything that is no wildcard is a simple assignment.
    const wild = head.startsWith("+");
    if (wild && name !== "" && !breaks.includes(name.slice(-1))) breaks += name.slice(-1);
    records.push([keyOf(name, wild), bytes(fields.slice(0, 6).join("\0"))]);
  }
  return makeCdb([...records, [BREAKS, bytes(breaks)]]);
}

/** The lines before the one that begins with a dot. Throws when there is none: the file may be cut off. */
function assignLines(text: string): string[] {
  const lines = text.split("\n");
  const end = lines.findIndex((line) => line.startsWith("."));
  if (end < 0) throw new AssignError(lines.length, "bad format: the last line must be a dot");
  return lines.slice(0, end);
}

/** What a look-up in users/cdb found. */
export interface Assigned {
  /** How the line of users/assign that decided begins, in lower case: `=joe` or `+joe-`. */
  readonly key: string;
  readonly nughde: Nughde;
}

/**
 * Whose `local` is by `cdb`: the whole name, or the longest beginning that ends in a break character.
 * Null when nobody's. Throws on a broken database.
 */
export function findAssigned(cdb: CdbBytes, local: string): Assigned | null {
  const breaks = cdbGet(cdb, BREAKS)?.toString("latin1");
  if (breaks === undefined) throw new Error("cannot read users/cdb: no break characters");
  const lower = lowerAscii(local);
  const exact = cdbGet(cdb, keyOf(lower, false));
  if (exact) return { key: `=${lower}`, nughde: parseNughde(exact, "") };
  for (let end = lower.length; end >= 0; end--) {
    if (end > 0 && !breaks.includes(lower[end - 1] as string)) continue;
    const wild = cdbGet(cdb, keyOf(lower.slice(0, end), true));
    if (wild) {
      return { key: `+${lower.slice(0, end)}`, nughde: parseNughde(wild, local.slice(end)) };
    }
  }
  return null;
}

/** A simple assignment's key ends in NUL, which no address can hold. */
function keyOf(name: string, wild: boolean): Buffer {
  return bytes(`!${lowerAscii(name)}${wild ? "" : "\0"}`);
}

/** `name NUL uid NUL gid NUL home NUL dash NUL ext`, with `rest` of the address behind the extension. */
export function parseNughde(data: Buffer, rest: string): Nughde {
  const [name, uid, gid, home, dash, ext] = data.toString("latin1").split("\0");
  if (name === undefined || home === undefined || dash === undefined || ext === undefined) {
    throw new Error("cannot read users/cdb: a record that is not whole");
  }
  return { name, uid: leadingNumber(uid), gid: leadingNumber(gid), home, dash, ext: ext + rest };
}

/** As scan_ulong: what is no number is 0, which is root, to whom nothing is delivered. */
function leadingNumber(text: string | undefined): number {
  return Number(/^\d+/.exec(text ?? "")?.[0] ?? 0);
}

function bytes(text: string): Buffer {
  return Buffer.from(text, "latin1");
}
