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

interface Stat {
  readonly parent: number;
  readonly group: number;
  readonly startTicks: number;
  /** The name of its program, cut off by the kernel. */
  readonly name: string;
}

/** The process `pid`; null when there is none (any more), or it is dead and only not yet waited for. */
export function processInfo(pid: number): ProcessInfo | null {
  const stat = readStat(pid);
  if (!stat) return null;
  try {
    const { name, ...rest } = stat;
    const command = readFileSync(`/proc/${pid}/cmdline`, "latin1");
    const title = command.replaceAll("\0", " ").trim() || name;
    return { ...rest, pid, title, uid: statSync(`/proc/${pid}`).uid };
  } catch {
    return null;
  }
}

function readStat(pid: number): Stat | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in parentheses may hold anything, so the fields are counted from its end.
    const end = stat.lastIndexOf(")");
    const fields = stat.slice(end + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return null;
    return {
      parent: Number(fields[1]),
      group: Number(fields[2]),
      startTicks: Number(fields[19]),
      name: stat.slice(stat.indexOf("(") + 1, end),
    };
  } catch {
    return null;
  }
}

/** The pids of all processes. */
export function processIds(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** All living processes of the process groups `groups`. */
export function groupMembers(groups: ReadonlySet<number>): ProcessInfo[] {
  return processIds()
    .filter((pid) => groups.has(readStat(pid)?.group ?? 0))
    .map(processInfo)
    .filter((info) => info !== null)
    .filter(({ group }) => groups.has(group));
}

/** True while that very process lives, and not another with its pid. */
export function lives({ pid, startTicks }: ProcessInfo): boolean {
  return readStat(pid)?.startTicks === startTicks;
}

/**
 * Sends `signal` to that very process, and to no other that has its pid now. False when it has gone; throws
 * the system's error when we may not.
 */
export function signalProcess(info: ProcessInfo, signal: NodeJS.Signals): boolean {
  if (!lives(info)) return false;
  try {
    return process.kill(info.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
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
