/** The processes of an installation as /proc shows them. */

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { processInfo } from "../qmail/supervise/procfs.ts";

/** Every process that works in `home`: pid and the first word of its title. */
export function processesOf(home: string): { pid: number; title: string }[] {
  return readdirSync("/proc").flatMap((name) => {
    try {
      const info = /^\d+$/.test(name) && processInfo(Number(name));
      if (!info || readlinkSync(`/proc/${name}/cwd`) !== home) return [];
      return [{ pid: Number(name), title: info.title.split(" ")[0] ?? "" }];
    } catch {
      // It has left.
      return [];
    }
  });
}

/** The process of the installation in `home` with this title. */
export function pidOf(home: string, title: string): number {
  const found = processesOf(home).find((process) => process.title === title);
  if (!found) throw new Error(`${title} is not running`);
  return found.pid;
}

/** Resident memory of a process in MB: now, or the most it ever had; 0 when it has left. */
export function memory(pid: number, field: "VmRSS" | "VmHWM"): number {
  try {
    const text = readFileSync(`/proc/${pid}/status`, "latin1");
    return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

/** User and system time of a process in seconds. */
export function cpuTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** The processes that `parent` has started and that are there. */
export function childrenOf(parent: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
        return Number(stat.slice(stat.lastIndexOf(")") + 4).split(" ")[0]) === parent;
      } catch {
        return false;
      }
    });
}
