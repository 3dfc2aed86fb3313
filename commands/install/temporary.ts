/** What an install that was killed has left: files in the making, in every directory of an installation. */

import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { asUser } from "../../qmail/files/as-user.ts";
import { temporaryOwner } from "../../qmail/files/atomic.ts";
import type { QmailUser } from "../../qmail/ids.ts";
import { processInfo } from "../../qmail/supervise/procfs.ts";
import type { InstallContext, Row } from "./step.ts";

/** Where install writes, and whose that is. */
const DIRECTORIES: Readonly<Record<string, QmailUser | "root">> = {
  ".": "root",
  alias: "alias",
  bin: "root",
  boot: "root",
  control: "root",
  "queue/lock": "qmailq",
  run: "root",
};

/** The row that removes them, unless the process that makes them lives. */
export function temporaryRow(context: InstallContext): Row {
  const services = () =>
    names(context.path("service")).map((name) => [`service/${name}`, "root"] as const);
  const left = () =>
    [...Object.entries(DIRECTORIES), ...services()].flatMap(([name, user]) =>
      abandoned(context.path(name)).map((path) => ({ path, user })),
    );
  return {
    name: "temporary files",
    inspect: () => (left().length > 0 ? `${left().length} left by an interrupted run` : null),
    apply() {
      for (const { path, user } of left()) {
        const owner = context.owner(user, "qmail");
        // What somebody has put in its place meanwhile he removes himself.
        if (owner) asUser(owner, () => rmSync(path, { recursive: true, force: true }));
      }
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
