/** What the kernel knows of a process. */

import { readdirSync, readFileSync } from "node:fs";

/** The most memory it has ever had, in bytes. */
export function peakMemory(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1]) * 1024;
}

/** How many descriptors it has open. */
export function openDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
