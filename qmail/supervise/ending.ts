/** Ending processes that are not our children, or no longer in our hands: asked first, killed when they do not go. */

import { setTimeout as sleep } from "node:timers/promises";
import { type Account, account, type RunningService } from "./account.ts";
import { groupMembers, lives, type ProcessInfo, signalProcess } from "./procfs.ts";

/** So long a service may take to finish what it is doing. */
const TERM_MS = 20_000;
/** So long they may take who only have to see that those they worked for have gone. */
export const LEAVE_MS = 2000;
/** The writer of the logs reads to the end first. */
const HELPERS_MS = 5000;
const LOOK_MS = 50;
/** After this the kernel itself holds them, as in a call to a disk that hangs. */
const STUCK_MS = 5000;

export interface Ended {
  /** So long they may take to leave by themselves; then they are killed. */
  readonly leaveMs: number;
  /** Called once, before the first is killed. */
  killing?(left: readonly ProcessInfo[]): void;
  /** Called once, when killing does not help. */
  stuck?(left: readonly ProcessInfo[]): void;
}

/** Resolves when `members`, which looks at who there is at this moment, finds nobody; however long that takes. */
export async function ended(
  members: () => readonly ProcessInfo[],
  { leaveMs, killing = () => {}, stuck = () => {} }: Ended,
): Promise<void> {
  const tellKilling = once(killing);
  const tellStuck = once(stuck);
  const began = performance.now();
  for (let left = members(); left.length > 0; ) {
    const waited = performance.now() - began;
    const stuckNow = waited >= leaveMs + STUCK_MS;
    if (stuckNow) tellStuck(left);
    if (waited >= leaveMs) {
      tellKilling(left);
      for (const each of left) signalProcess(each, "SIGKILL");
    }
    await sleep(stuckNow ? 10 * LOOK_MS : LOOK_MS);
    // Looking for who was started meanwhile costs more than seeing whether those still live.
    left = waited < leaveMs ? left.filter(lives) : [];
    if (left.length === 0) left = members();
  }
}

function once<T>(tell: (value: T) => void): (value: T) => void {
  let told = false;
  return (value) => {
    if (!told) tell(value);
    told = true;
  };
}

/** What is told while services are ended. */
export interface Telling {
  /** Before a service is ended. */
  ending(service: RunningService): void;
  /** It was killed, and is still there. */
  stuck(service: RunningService): void;
}

/**
 * Ends the services that run in `home`, doors first. Resolves with how many there were; rejects with the system's
 * error when we may not end them.
 */
export async function endServices(home: string, telling: Telling): Promise<number> {
  let count = 0;
  // Who was started while a service was ended is seen at the next look.
  for (let { services } = account(home); services.length > 0; { services } = account(home)) {
    count += services.length;
    for (const service of services) {
      telling.ending(service);
      await endService(service, telling);
    }
  }
  return count;
}

/** The first process is told; what it has started follows it. Without the first they only have to leave. */
async function endService({ service, processes }: RunningService, telling: Telling): Promise<void> {
  const groups = new Set(processes.map(({ group }) => group));
  const leaders = processes.filter(({ pid, group }) => pid === group);
  for (const leader of leaders) {
    signalProcess(leader, "SIGTERM");
    // A paused process cannot end.
    signalProcess(leader, "SIGCONT");
  }
  const leaveMs = leaders.length > 0 ? TERM_MS : LEAVE_MS;
  await ended(() => groupMembers(groups), {
    leaveMs,
    stuck: (left) => telling.stuck({ service, processes: left }),
  });
}

/** Ends keepers and log writers of a supervisor that is dead: the first may not start another, the second reads to the end. */
export async function endHelpers({ helpers }: Account): Promise<void> {
  for (const helper of helpers) {
    signalProcess(helper, "SIGTERM");
    signalProcess(helper, "SIGCONT");
  }
  await ended(() => helpers.filter(lives), { leaveMs: HELPERS_MS });
}
