/** Ending what a supervisor that was killed has left running (state.ts says what). */

import { setTimeout as sleep } from "node:timers/promises";
import { groupMembers } from "./procfs.ts";
import { forgetState, leftovers, type Started } from "./state.ts";

/** So long they may take to finish what they are doing. */
const TERM_MS = 20_000;
const LOOK_MS = 50;

/**
 * Ends the services left in `home`, doors first, and tells `ending` of each before. Resolves with how
 * many there were; rejects with the system's error when we may not end them.
 */
export async function endLeftovers(
  home: string,
  ending: (started: Started) => void,
): Promise<number> {
  const left = leftovers(home).reverse();
  for (const started of left) {
    ending(started);
    await end(started.pid);
  }
  forgetState(home);
  return left.length;
}

async function end(pid: number): Promise<void> {
  const group = new Set([pid]);
  terminate(pid);
  // The processes are not our children, so their end can only be looked for.
  for (let waited = 0; groupMembers(group).length > 0; waited += LOOK_MS) {
    if (waited === TERM_MS) kill(-pid, "SIGKILL");
    await sleep(LOOK_MS);
  }
}

/** The first process is told; what it has started follows it. Without the first, all are ended. */
function terminate(pid: number): void {
  if (!kill(pid, "SIGTERM")) kill(-pid, "SIGKILL");
  // A paused process cannot end.
  else kill(pid, "SIGCONT");
}

/** False when there is no such process (any more). */
function kill(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}
