/** setforward(1): makes a forwarding database of the table on standard input. */

import {
  type Context,
  exitWith,
  type Outcome,
  programContext,
  refused,
} from "../inject/context.ts";
import { outcomeOf, readInput, replace, tableCdb } from "./convert.ts";
import { parseTable } from "./table.ts";

/** Runs setforward. */
export async function setforward(
  [cdb, temporary]: readonly string[],
  { input }: Pick<Context, "input">,
): Promise<Outcome> {
  if (cdb === undefined || temporary === undefined) {
    return refused("usage: setforward data.cdb data.tmp");
  }
  return outcomeOf(async () =>
    replace(cdb, temporary, tableCdb(parseTable(await readInput(input)))),
  );
}

if (import.meta.main) {
  exitWith("setforward", await setforward(process.argv.slice(2), programContext()));
}
