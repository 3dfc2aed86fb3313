/**
 * run/supervise.state: which process groups the supervisor has started, so that the next one finds
 * what a supervisor that was killed has left. A pid counts only with its boot and start time.
 */

import { readFileSync, rmSync } from "node:fs";
import { writeFileAtomic } from "../files/atomic.ts";
import { bootId, groupMembers, processInfo } from "./procfs.ts";

export const STATE_FILE = "run/supervise.state";

/** The leader of a service's process group. */
export interface Started {
  readonly service: string;
  readonly pid: number;
  readonly startTicks: number;
}

interface StateFile {
  readonly boot: string;
  readonly started: readonly Started[];
}

/** Writes down what runs; relative to the qmail home. */
export function writeState(started: readonly Started[]): void {
  const state: StateFile = { boot: bootId(), started };
  writeFileAtomic(STATE_FILE, `${JSON.stringify(state)}\n`, { mode: 0o644 });
}

/** Nothing runs any more in `home`, and nothing shall. */
export function forgetState(home: string): void {
  rmSync(`${home}/${STATE_FILE}`, { force: true });
}

/** What an earlier supervisor of the installation in `home` has started and what still has living processes. */
export function leftovers(home: string): Started[] {
  let state: StateFile;
  try {
    state = JSON.parse(readFileSync(`${home}/${STATE_FILE}`, "utf8"));
  } catch {
    return [];
  }
  if (state.boot !== bootId()) return [];
  return state.started.filter(({ pid, startTicks }) => {
    const leader = processInfo(pid);
    // A pid in use as a group's name is not given away, so members of a dead leader's group are its own.
    return leader ? leader.startTicks === startTicks : groupMembers(new Set([pid])).length > 0;
  });
}
