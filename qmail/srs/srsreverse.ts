/**
 * srsreverse: in the .qmail file of the SRS domain, sends a bounce on to whom the SRS address stands for.
 *
 * control/virtualdomains has `srs.example.com:srs`, and ~alias/.qmail-srs-default has `|srsreverse`.
 */

import { Control } from "../control/control.ts";
import { EXIT } from "../exit.ts";
import { qmailHome } from "../home.ts";
import {
  type Context,
  exitWith,
  type Outcome,
  programContext,
  refused,
} from "../inject/context.ts";
import { forward } from "../inject/forward.ts";
import { srsReverse } from "./srs.ts";
import { readSrsKeys } from "./srs-keys.ts";

/** Sends the message on; `home` is the qmail home, `now` in seconds since 1970. */
export async function srsreverse(context: Context, home: string, now: number): Promise<Outcome> {
  const { DEFAULT: local } = context.env;
  if (local === undefined) return refused("DEFAULT not set: srsreverse belongs into a .qmail file");
  const keys = readSrsKeys(home, new Control(home));
  if (!keys) return { code: EXIT.soft, message: "control/srsdomain is missing" };
  const reversal = srsReverse(keys, local, now);
  if (!reversal.ok) {
    const why = { other: "no SRS address", forged: "not made here", expired: "too old" };
    return {
      code: EXIT.hard,
      message: `Sorry, that address is ${why[reversal.why]}. (#5.1.1)`,
    };
  }
  return forward([reversal.address], context);
}

if (import.meta.main) {
  try {
    const now = Math.floor(Date.now() / 1000);
    exitWith("srsreverse", await srsreverse(programContext(), qmailHome(), now));
  } catch (error) {
    exitWith("srsreverse", { code: EXIT.soft, message: (error as Error).message });
  }
}
