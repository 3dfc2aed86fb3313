/** The processes of a site, found otherwise than the mail server finds them. */

import { readdirSync, readlinkSync } from "node:fs";
import { processInfo } from "../../qmail/supervise/procfs.ts";
import type { Site } from "./_site.ts";

/** The pids of all processes that work in `home`: all of the mail server do. */
export function pidsIn(home: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => workingDirectory(pid) === home && processInfo(pid));
}

/** Those with the title `title`. */
export function pidsOf(site: Pick<Site, "home">, title: string): number[] {
  return pidsIn(site.home).filter((pid) => titleOf(processInfo(pid) ?? { title: "" }) === title);
}

export function titleOf({ title }: { title: string }): string {
  return title.split(" ")[0] ?? "";
}

function workingDirectory(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
}
