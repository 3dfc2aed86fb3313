/** `qmailctl stop`: doors first, then the mail system, which finishes its deliveries. */

import { endLeftovers, endSupervisor } from "./leftovers.ts";
import { CommandError, type Output } from "./output.ts";
import { askSupervisor, SilentSupervisor } from "./supervisor.ts";

/** A supervisor that was killed just now may be followed by another. */
const TRIES = 5;

/** Stops the mail server in `home`. No error when none runs. */
export async function stop({ home, output }: { home: string; output: Output }): Promise<void> {
  const stopped = await stopAll(home, output);
  output.data({ stopped });
  output.line(
    stopped ? `The mail server in ${home} is stopped.` : `No mail server runs in ${home}.`,
  );
}

/** True when anything ran. */
async function stopAll(home: string, output: Output): Promise<boolean> {
  let ran = false;
  for (let tries = 0; tries < TRIES; tries++) {
    if (await stopSupervisor(home, output)) ran = true;
    const left = await endLeftovers(home, output);
    if (left !== null) return ran || left > 0;
  }
  throw new CommandError(`another command starts or stops the mail server in ${home}`, {
    hints: ["try again"],
  });
}

/** False when there was none. */
async function stopSupervisor(home: string, output: Output): Promise<boolean> {
  try {
    // One that hangs would take the order to stop, and never answer.
    if (!(await askSupervisor(home, { type: "status" }))) return false;
    await askSupervisor(home, { type: "stop" });
  } catch (error) {
    if (!(error instanceof SilentSupervisor)) throw error;
    endSupervisor(home, output);
  }
  return true;
}
