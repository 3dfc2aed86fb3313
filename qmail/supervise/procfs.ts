/** What /proc says of processes. */

import { readdirSync, readFileSync, statSync } from "node:fs";

export interface ProcessInfo {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  /** As `ps` shows it. */
  readonly title: string;
  readonly uid: number;
  /** Clock ticks from boot to the start of the process: tells it from a later one with its pid. */
  readonly startTicks: number;
}

/** Clock ticks in a second; the kernel's interface fixes it on every platform that Node runs on. */
const TICKS = 100;

/** The process `pid`; null when there is none (any more). */
export function processInfo(pid: number): ProcessInfo | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in parentheses may hold anything, so the fields are counted from its end.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z") return null;
    const command = readFileSync(`/proc/${pid}/cmdline`, "latin1");
    return {
      pid,
      parent: Number(fields[1]),
      group: Number(fields[2]),
      title:
        command.replaceAll("\0", " ").trim() ||
        stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")")),
      uid: statSync(`/proc/${pid}`).uid,
      startTicks: Number(fields[19]),
    };
  } catch {
    return null;
  }
}

/** All living processes of the process groups `groups`. */
export function groupMembers(groups: ReadonlySet<number>): ProcessInfo[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => processInfo(Number(name)))
    .filter((info) => info !== null)
    .filter(({ group }) => groups.has(group));
}

/** Seconds that a process has lived. */
export function uptime({ startTicks }: ProcessInfo): number {
  const [boot] = readFileSync("/proc/uptime", "latin1").split(" ");
  return Math.max(0, Number(boot) - startTicks / TICKS);
}

/** A different text after each boot. */
export function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  } catch {
    return "";
  }
}
