/**
 * tcprules: compiles rules for tcpserver from standard input, `tcprules cdb tmp` (tcprules(1)).
 * The rules that are in force stay in force until the new ones are whole and on the disk.
 */

import {
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from "node:fs";
import { makeCdb } from "../cdb/cdbmake.ts";
import { EXIT } from "../exit.ts";
import { systemReason } from "../system-reason.ts";
import { compileRules, RuleError } from "./compile.ts";

/** Compiles `text` into the file `cdb` by way of `temporary`, beside it. Throws RuleError, or an Error that says what failed. */
export function tcprules(text: string, { cdb, temporary }: { cdb: string; temporary: string }) {
  // Before the file is touched: a bad line leaves everything as it was.
  const database = makeCdb(compileRules(text));
  const fd = attempt(`create ${temporary}`, () => openSync(temporary, "w", 0o644));
  try {
    attempt(`write to ${temporary}`, () => {
      for (let done = 0; done < database.length; ) done += writeSync(fd, database, done);
      fchmodSync(fd, 0o644);
      fsyncSync(fd);
    });
  } finally {
    closeSync(fd);
  }
  attempt(`move ${temporary} to ${cdb}`, () => renameSync(temporary, cdb));
}

function attempt<T>(what: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new Error(`unable to ${what}: ${systemReason(error)}`, { cause: error });
  }
}

function main([cdb, temporary]: readonly string[]): number {
  if (!cdb || !temporary) {
    process.stderr.write("tcprules: usage: tcprules rules.cdb rules.tmp\n");
    return EXIT.hard;
  }
  try {
    tcprules(readFileSync(0, "latin1"), { cdb, temporary });
    return EXIT.ok;
  } catch (error) {
    const text = `tcprules: fatal: ${(error as Error).message}\n`;
    process.stderr.write(Buffer.from(text, "latin1"));
    return error instanceof RuleError ? EXIT.hard : EXIT.soft;
  }
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
