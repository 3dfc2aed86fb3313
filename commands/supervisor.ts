/** What the commands that deal with the supervisor share. */

import { existsSync } from "node:fs";
import { REPAIR_DIRECTORY } from "../qmail/queue/protocol.ts";
import {
  ask,
  NotRunningError,
  type Request,
  type Response,
  SilentError,
} from "../qmail/supervise/control.ts";
import { CommandError } from "./output.ts";

/** Throws unless a mail server is installed in `home`. */
export function checkInstalled(home: string): void {
  if (existsSync(`${home}/service/qmail-send/run`)) return;
  if (existsSync(`${home}/control/qmqpservers`)) {
    throw new CommandError(`${home} is a null client: it has no queue and nothing to run`);
  }
  throw new CommandError(`no mail server is installed in ${home}`, {
    hints: ["install one: qmailctl install", "or say where it is: --home DIR, --config FILE"],
  });
}

/** Throws while the queue of `home` is half repaired: qmail-send would refuse it, and nobody else may touch it either. */
export function checkNotRepaired(home: string): void {
  if (!existsSync(`${home}/queue/${REPAIR_DIRECTORY}`)) return;
  throw new CommandError("the queue is being repaired, or a repair was interrupted", {
    hints: ["end it: qmailctl queue repair"],
  });
}

/** There is a supervisor, and it does not answer: it is paused, or hangs. */
export class SilentSupervisor extends CommandError {
  constructor({ message }: Error) {
    super(message, { hints: ["it is paused, or hangs; to end it: qmailctl stop"] });
  }
}

/** The supervisor's answer; null when none runs. Throws CommandError when we may not ask, or it does not answer. */
export async function askSupervisor(home: string, request: Request): Promise<Response | null> {
  checkInstalled(home);
  try {
    return await ask(home, request);
  } catch (error) {
    if (error instanceof NotRunningError) return null;
    if (error instanceof SilentError) throw new SilentSupervisor(error);
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "EACCES" && code !== "EPERM") throw error;
    throw new CommandError(`cannot reach the supervisor in ${home}: ${message}`, {
      hints: ["run it as the user who started the mail server, or as root"],
      cause: error,
    });
  }
}
