/** printforward(1): prints the forwarding database on standard input as setforward reads it. */

import { cdbRecords } from "../cdb/cdb.ts";
import { type Context, exitWith, type Outcome, programContext } from "../inject/context.ts";
import { outcomeOf, readInput } from "./convert.ts";
import { formatTable, TableError, type TableRecord } from "./table.ts";

/** Runs printforward. */
export function printforward({ input, print }: Pick<Context, "input" | "print">): Promise<Outcome> {
  return outcomeOf(async () => {
    const cdb = Buffer.from(await readInput(input), "latin1");
    await print(Buffer.from(formatTable(recordsIn(cdb)), "latin1"));
  });
}

function recordsIn(cdb: Buffer): TableRecord[] {
  try {
    return [...cdbRecords(cdb)].map(([key, data]) => ({
      key: key.toString("latin1"),
      data: data.toString("latin1"),
    }));
  } catch {
    throw new TableError("bad database format");
  }
}

if (import.meta.main) exitWith("printforward", await printforward(programContext()));
