/** condredirect(1): in a .qmail file, sends the message to another address when a program says so. */

import { writeSync } from "node:fs";
import { toBytes } from "../arguments.ts";
import { EXIT } from "../exit.ts";
import {
  type Context,
  exitWith,
  type Outcome,
  programContext,
  refused,
} from "../inject/context.ts";
import { copyToQueue } from "../inject/copy.ts";
import type { Message } from "../spawn/message.ts";
import { seekableStdin } from "../spawn/stdin-message.ts";
import { succeeds } from "./child.ts";

/** What is said when the message was sent on: with this code nothing more in the .qmail file is done. */
const DONE = 99;

/** Runs condredirect. `message` reads from its beginning, whatever the program took; null: it cannot. */
export async function condredirect(
  args: readonly string[],
  context: Pick<Context, "env" | "queue">,
  message: () => Message | null,
): Promise<Outcome> {
  const [address, ...program] = args;
  if (address === undefined || program.length === 0) {
    return refused("usage: condredirect newaddress program [ arg ... ]");
  }
  const result = await succeeds(program);
  if (typeof result !== "boolean") return result;
  if (!result) return { code: EXIT.ok, message: "" };
  const again = message();
  if (!again) return { code: EXIT.soft, message: "unable to rewind: message is not a file" };
  const { SENDER: sender, DTLINE: deliveredTo } = context.env;
  if (sender === undefined) return refused("SENDER not set");
  if (deliveredTo === undefined) return refused("DTLINE not set");
  const qmail = (await context.queue()).open();
  try {
    await copyToQueue(qmail, Buffer.from(deliveredTo, "latin1"), again.chunks());
  } catch (error) {
    qmail.abort();
    return { code: EXIT.soft, message: `unable to read message: ${(error as Error).message}` };
  }
  const queued = await qmail.close(sender, [toBytes(address)]);
  if (queued.ok) return { code: DONE, message: `qp ${queued.qp}` };
  return { code: queued.permanent ? EXIT.hard : EXIT.soft, message: queued.text };
}

if (import.meta.main) {
  const outcome = await condredirect(process.argv.slice(2), programContext(), seekableStdin);
  if (outcome.code === DONE) {
    writeSync(2, `condredirect: ${outcome.message}\n`);
    process.exit(DONE);
  }
  exitWith("condredirect", outcome);
}
