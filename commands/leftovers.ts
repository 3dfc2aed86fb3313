/** Services that a supervisor which was killed has left running. */

import { setTimeout as sleep } from "node:timers/promises";
import { groupMembers } from "../qmail/supervise/procfs.ts";
import { leftovers, type Started } from "../qmail/supervise/state.ts";
import { CommandError, type Output } from "./output.ts";

/** So long they may take to finish what they are doing. */
const TERM_MS = 20_000;
const LOOK_MS = 50;

/** Ends what was left in `home`, in order: doors first. Says so. Resolves with how many services there were. */
export async function endLeftovers(home: string, output: Output): Promise<number> {
  const left = leftovers(home).reverse();
  for (const started of left) {
    output.line(
      `${started.service} was left by a supervisor that died: ending it (pid ${started.pid})`,
    );
    await end(started);
  }
  return left.length;
}

async function end({ pid, service }: Started): Promise<void> {
  const group = new Set([pid]);
  signal(pid, "SIGTERM", service);
  // The processes are not our children, so their end can only be looked for.
  for (let waited = 0; groupMembers(group).length > 0; waited += LOOK_MS) {
    if (waited === TERM_MS) killGroup(pid);
    await sleep(LOOK_MS);
  }
}

/** The first process is told; what it has started follows it. Without the first, all are told. */
function signal(pid: number, name: NodeJS.Signals, service: string): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ESRCH") killGroup(pid);
    else {
      throw new CommandError(`cannot end ${service} (pid ${pid}): ${(error as Error).message}`, {
        hints: ["run it as the user who started the mail server, or as root"],
      });
    }
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Gone meanwhile.
  }
}
