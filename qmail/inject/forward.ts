/** forward(1): in a .qmail file, sends the message on to other addresses. */

import { programArgs } from "../arguments.ts";
import { EXIT } from "../exit.ts";
import { type Context, exitWith, type Outcome, programContext, refused } from "./context.ts";
import { copyToQueue } from "./copy.ts";

/** Runs forward for the recipients `args`. */
export async function forward(args: readonly string[], context: Context): Promise<Outcome> {
  const { NEWSENDER: sender, DTLINE: deliveredTo } = context.env;
  if (sender === undefined) return refused("NEWSENDER not set");
  if (deliveredTo === undefined) return refused("DTLINE not set");
  const qmail = (await context.queue()).open();
  const start = Buffer.from(deliveredTo, "latin1");
  try {
    await copyToQueue(qmail, start, context.input);
  } catch (error) {
    qmail.abort();
    return { code: EXIT.soft, message: `unable to read message: ${(error as Error).message}` };
  }
  const result = await qmail.close(sender, args);
  if (!result.ok) return { code: result.permanent ? EXIT.hard : EXIT.soft, message: result.text };
  return { code: EXIT.ok, message: `qp ${result.qp}` };
}

if (import.meta.main) {
  exitWith("forward", await forward(programArgs(), programContext()));
}
