/** printmaillist(1): prints the binary mailing list on standard input as setmaillist reads it. */

import { type Context, exitWith, type Outcome, programContext } from "../inject/context.ts";
import { outcomeOf, readInput } from "./convert.ts";
import { formatMaillist } from "./maillist.ts";

/** Runs printmaillist. */
export function printmaillist({
  input,
  print,
}: Pick<Context, "input" | "print">): Promise<Outcome> {
  return outcomeOf(async () =>
    print(Buffer.from(formatMaillist(await readInput(input)), "latin1")),
  );
}

if (import.meta.main) exitWith("printmaillist", await printmaillist(programContext()));
