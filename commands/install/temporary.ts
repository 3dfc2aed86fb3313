/** What an install that was killed has left: files in the making, in every directory of an installation. */

import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { temporaryOwner } from "../../qmail/files/atomic.ts";
import { processInfo } from "../../qmail/supervise/procfs.ts";
import type { InstallContext, Row } from "./step.ts";

/** Where install writes. */
const DIRECTORIES: readonly string[] = [
  ".",
  "alias",
  "bin",
  "boot",
  "control",
  "queue/lock",
  "run",
];

/** The row that removes them, unless the process that makes them lives. */
export function temporaryRow(context: InstallContext): Row {
  const left = () => {
    const services = names(context.path("service")).map((name) => `service/${name}`);
    return [...DIRECTORIES, ...services].flatMap((name) => abandoned(context.path(name)));
  };
  return {
    name: "temporary files",
    inspect: () => (left().length > 0 ? `${left().length} left by an interrupted run` : null),
    apply() {
      for (const path of left()) rmSync(path, { recursive: true });
    },
  };
}

function abandoned(directory: string): string[] {
  return names(directory).flatMap((name) => {
    const owner = temporaryOwner(name);
    return owner === null || processInfo(owner) ? [] : [join(directory, name)];
  });
}

function names(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    // Not there yet, or no directory.
    return [];
  }
}
