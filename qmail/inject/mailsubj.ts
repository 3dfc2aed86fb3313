/** mailsubj(1): sends standard input as the body of a message with a subject. */

import { programArgs } from "../arguments.ts";
import { type Context, exitWith, type Outcome, programContext, refused } from "./context.ts";
import { withHeader } from "./copy.ts";
import { inject } from "./qmail-inject.ts";

/** Runs mailsubj; subject and recipients go into the header as they are. */
export async function mailsubj(args: readonly string[], context: Context): Promise<Outcome> {
  const [subject, ...recipients] = args;
  if (subject === undefined || recipients.length === 0) {
    return refused("usage: mailsubj subject recip ...");
  }
  const header = `Subject: ${subject}\nTo: ${recipients.join(" ")}\n\n`;
  return await inject([], { ...context, input: withHeader(header, context.input) });
}

if (import.meta.main) {
  exitWith("mailsubj", await mailsubj(programArgs(), programContext()));
}
