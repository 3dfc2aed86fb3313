/** What whoever started us has left open: a shell's own descriptors would live on in every daemon, down to users' programs. */

import { closeSync, readdirSync, readFileSync } from "node:fs";

/** Standard error, the last that is meant to be passed on. */
const LAST_MEANT = 2;
const O_CLOEXEC = 0o2000000;

/**
 * Closes every descriptor above 2 that a program started by us would get. Node's own are none of these. To be called
 * first of all, by a process that is given no more than the three; where there is no /proc it does nothing.
 */
export function closeInherited(): void {
  for (const fd of openDescriptors()) if (fd > LAST_MEANT && isPassedOn(fd)) closeSync(fd);
}

function openDescriptors(): number[] {
  try {
    return readdirSync("/proc/self/fd").map(Number);
  } catch {
    return [];
  }
}

function isPassedOn(fd: number): boolean {
  try {
    const [, flags = ""] =
      /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1")) ?? [];
    return flags !== "" && (Number.parseInt(flags, 8) & O_CLOEXEC) === 0;
  } catch {
    // The one that the list itself was read through.
    return false;
  }
}
