/**
 * What crashes leave in the directories of qmail-queue, apart from mess/ (INTERNALS.md, "Cleanup"): files
 * in pid/, and files in intd/ and todo/ whose message is gone. A mess file is the first that a message
 * gets and the last that it loses, so without it the others mean nothing.
 */

import { readdirSync, statSync, unlinkSync } from "node:fs";
import { fmtqfn, isMessId } from "./fmtqfn.ts";
import { OSSIFIED_SECONDS } from "./protocol.ts";

/** Removes what is older than 36 hours at `now`, in seconds. Returns the paths that cannot be removed. */
export function removeLeftovers(queue: string, now: number): string[] {
  const failed: string[] = [];
  for (const directory of ["pid", "intd", "todo"] as const) {
    for (const name of namesIn(`${queue}/${directory}`, () => failed.push(directory))) {
      const path = `${directory}/${name}`;
      try {
        if (!isOld(`${queue}/${path}`, now)) continue;
        if (directory === "pid" || isOrphan(queue, name)) unlinkSync(`${queue}/${path}`);
      } catch {
        failed.push(path);
      }
    }
  }
  return failed;
}

/** A directory that cannot be read now is looked at another day. */
function namesIn(directory: string, failed: () => void): string[] {
  try {
    return readdirSync(directory);
  } catch {
    failed();
    return [];
  }
}

function isOld(path: string, now: number): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat !== undefined && stat.mtimeMs / 1000 + OSSIFIED_SECONDS < now;
}

function isOrphan(queue: string, name: string): boolean {
  if (!isMessId(name)) return false;
  return statSync(`${queue}/${fmtqfn("mess", name)}`, { throwIfNoEntry: false }) === undefined;
}
