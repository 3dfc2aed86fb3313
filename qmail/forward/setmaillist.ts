/** setmaillist(1): makes a binary mailing list of the lines on standard input. */

import {
  type Context,
  exitWith,
  type Outcome,
  programContext,
  refused,
} from "../inject/context.ts";
import { outcomeOf, readInput, replace } from "./convert.ts";
import { parseMaillist } from "./maillist.ts";

/** Runs setmaillist. */
export async function setmaillist(
  [list, temporary]: readonly string[],
  { input }: Pick<Context, "input">,
): Promise<Outcome> {
  if (list === undefined || temporary === undefined) {
    return refused("usage: setmaillist list.bin list.tmp");
  }
  return outcomeOf(async () =>
    replace(list, temporary, Buffer.from(parseMaillist(await readInput(input)), "latin1")),
  );
}

if (import.meta.main) {
  exitWith("setmaillist", await setmaillist(process.argv.slice(2), programContext()));
}
