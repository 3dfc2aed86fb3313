/**
 * ofmipname: makes the table of names for ofmipd from standard input, `ofmipname name.cdb name.tmp`
 * (ofmipname(8)). The table in force stays until the new one is whole and on the disk.
 */

import { readFileSync, renameSync } from "node:fs";
import { dirname } from "node:path";
import { makeCdb } from "../cdb/cdbmake.ts";
import { EXIT } from "../exit.ts";
import { syncDirectory, writeFileAtomic } from "../files/atomic.ts";
import { compileNames, NameError } from "./names.ts";

function main([cdb, temporary]: readonly string[]): number {
  if (!cdb || !temporary) {
    process.stderr.write("ofmipname: usage: ofmipname name.cdb name.tmp\n");
    return EXIT.hard;
  }
  try {
    const table = makeCdb(compileNames(readFileSync(0, "latin1")));
    writeFileAtomic(temporary, table, { mode: 0o644 });
    renameSync(temporary, cdb);
    syncDirectory(dirname(cdb));
    return EXIT.ok;
  } catch (error) {
    const text = `ofmipname: fatal: ${(error as Error).message}\n`;
    process.stderr.write(Buffer.from(text, "latin1"));
    return error instanceof NameError ? EXIT.hard : EXIT.soft;
  }
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
