/**
 * run/supervise.state: the process groups that the supervisor has started. For information: it tells whose processes
 * those are that account.ts may not look into, as root may not without CAP_SYS_PTRACE (so in many containers). It may
 * be old or missing, on a full disk; so writing it is tried again, and nobody waits for that.
 */

import { readFileSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import { bootId, processInfo } from "./procfs.ts";

const STATE_FILE = "run/supervise.state";
const AGAIN_MS = 5000;

/** The leader of a process group. A pid counts only with its boot and start time. */
interface Noted {
  readonly name: string;
  readonly pid: number;
  readonly startTicks: number;
}

interface State {
  readonly boot: string;
  readonly groups: readonly Noted[];
}

export class StateFile {
  readonly #warn: (text: string) => void;
  #wanted = "";
  #written = "";
  #busy = false;
  #warned = false;

  /** `warn` hears once of each time that it cannot be written. */
  constructor(warn: (text: string) => void) {
    this.#warn = warn;
  }

  /** Notes that these process groups run, and no others; by pid of the leader and name. Relative to the qmail home. */
  note(groups: Iterable<readonly [pid: number, name: string]>): void {
    const noted: Noted[] = [];
    for (const [pid, name] of groups) {
      const info = processInfo(pid);
      if (info) noted.push({ name, pid, startTicks: info.startTicks });
    }
    const state: State = { boot: bootId(), groups: noted };
    this.#wanted = `${JSON.stringify(state)}\n`;
    if (!this.#busy) void this.#write();
  }

  async #write(): Promise<void> {
    this.#busy = true;
    while (this.#written !== this.#wanted) {
      const text = this.#wanted;
      try {
        // Without a sync: after a power cut it means nothing.
        await writeFile(`${STATE_FILE}.new`, text, { mode: 0o644 });
        await rename(`${STATE_FILE}.new`, STATE_FILE);
        this.#written = text;
        this.#warned = false;
      } catch (error) {
        if (!this.#warned) this.#warn(`warning: ${(error as Error).message}; trying again`);
        this.#warned = true;
        await rm(`${STATE_FILE}.new`, { force: true }).catch(() => {});
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS).unref());
      }
    }
    this.#busy = false;
  }
}

/** Names by process group of what a supervisor of the installation in `home` has noted, and may still live. */
export function notedGroups(home: string): ReadonlyMap<number, string> {
  let state: State;
  try {
    state = JSON.parse(readFileSync(`${home}/${STATE_FILE}`, "utf8"));
    if (state.boot !== bootId() || !Array.isArray(state.groups)) return new Map();
  } catch {
    return new Map();
  }
  const may = state.groups.filter(({ pid, startTicks }) => {
    // Without its leader it is that group still: a number that is a group's is not given away.
    const leader = processInfo(pid);
    return !leader || leader.startTicks === startTicks;
  });
  return new Map(may.map(({ pid, name }) => [pid, name]));
}
