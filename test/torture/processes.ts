/** The processes of a site, by what the kernel says of them. Only these are ever signalled. */

import { readdirSync, readFileSync } from "node:fs";

export interface Process {
  readonly pid: number;
  readonly parent: number;
  /** What it calls itself, as "qmail-queue" or "qmail-lspawn". */
  readonly role: string;
}

/** The processes that run with `home` as their QMAILHOME: nobody else's have that. */
export function processesOf(home: string): Process[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => look(name, home))
    .filter((found) => found !== null);
}

function look(name: string, home: string): Process | null {
  try {
    const environment = readFileSync(`/proc/${name}/environ`, "latin1");
    if (!`\0${environment}`.includes(`\0QMAILHOME=${home}\0`)) return null;
    const stat = readFileSync(`/proc/${name}/stat`, "latin1");
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // One that has ended has no environment any more; or it ended between.
    if (state === "Z" || state === "X") return null;
    const command = readFileSync(`/proc/${name}/cmdline`, "latin1");
    const role = /^[^\0]*/.exec(command)?.[0] ?? "";
    return { pid: Number(name), parent: Number(parent), role };
  } catch {
    return null;
  }
}

/** Signals `pid`; false when it has gone. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch {
    return false;
  }
}
