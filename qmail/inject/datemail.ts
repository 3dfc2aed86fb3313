/** datemail: sendmail, with a Date field in local time. */

import { programArgs } from "../arguments.ts";
import { exitWith, type Outcome } from "./context.ts";
import { withHeader } from "./copy.ts";
import { localDateField } from "./predate.ts";
import { type SendmailContext, sendmail, sendmailContext } from "./sendmail.ts";

/** Runs sendmail with `args`. */
export function datemail(args: readonly string[], context: SendmailContext): Promise<Outcome> {
  const field = localDateField(new Date(context.now * 1000));
  return sendmail(args, { ...context, input: withHeader(field, context.input) });
}

if (import.meta.main) {
  exitWith("datemail", await datemail(programArgs(), sendmailContext("sendmail")));
}
