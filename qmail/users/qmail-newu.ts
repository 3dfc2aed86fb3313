/**
 * qmail-newu: makes users/cdb of users/assign (qmail-newu(8)). qmail-lspawn sees the old one or the new
 * one; when something is wrong with users/assign the old one stays.
 */

import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EXIT } from "../exit.ts";
import { writeFileAtomic } from "../files/atomic.ts";
import { qmailHome } from "../home.ts";
import { AssignError, compileAssign } from "./assign.ts";

/** users/cdb could not be made; the message is qmail-newu's. */
export class NewuError extends Error {}

/** Makes users/cdb of users/assign in `home`. Throws NewuError. */
export function newu(home: string): void {
  const text = readAssign(join(home, "users/assign"));
  const cdb = attempt("bad format in users/assign", () => compileAssign(text));
  attempt("unable to write users/cdb.tmp", () =>
    writeFileAtomic(join(home, "users/cdb"), cdb, { mode: 0o644 }),
  );
}

function readAssign(path: string): string {
  const fd = attempt("unable to open users/assign", () => openSync(path, "r"));
  try {
    return attempt("unable to read users/assign", () => readFileSync(fd, "latin1"));
  } finally {
    closeSync(fd);
  }
}

function attempt<T>(what: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    // The number of the line is ours, behind the words that scripts may know.
    const where = error instanceof AssignError ? `, line ${error.line}` : "";
    throw new NewuError(`${what}${where}`, { cause: error });
  }
}

if (import.meta.main) {
  try {
    newu(qmailHome());
  } catch (error) {
    if (!(error instanceof NewuError)) throw error;
    process.stderr.write(`qmail-newu: fatal: ${error.message}\n`);
    process.exitCode = EXIT.soft;
  }
}
