/** Step 1: groups, users, and the directories of the home and the queue. */

import { chmodSync, chownSync, mkdirSync, type Stats, statSync } from "node:fs";
import { writeFileAtomic } from "../../qmail/files/atomic.ts";
import { HIER, type HierEntry } from "../../qmail/hier.ts";
import { SANDBOX_MARK } from "../../qmail/ids.ts";
import { CommandError } from "../output.ts";
import { accountRows, runFirst } from "./accounts.ts";
import { serviceNames } from "./services.ts";
import { type InstallContext, modeTrouble, type Row, type Step } from "./step.ts";
import { temporaryRow } from "./temporary.ts";

/** All that a null client has: it needs no users either. */
const CLIENT_HIER = HIER.filter(({ path }) => [".", "bin", "control"].includes(path));

export const users: Step = {
  title: "users, groups and directories",
  rows(context) {
    if (context.config.hubs) return CLIENT_HIER.map((entry) => hierRow(context, entry));
    const logs = serviceNames(context.config).map((name): HierEntry => {
      return {
        path: `log/${name}`,
        type: "directory",
        owner: "qmaill",
        group: "nofiles",
        mode: 0o750,
      };
    });
    const entries = [...HIER, ...logs].map((entry) => hierRow(context, entry));
    const temporary = temporaryRow(context);
    if (!context.config.sandbox) return [...accountRows(context), ...entries, temporary];
    const [home, ...rest] = entries;
    return [home as Row, sandboxMark(context), ...rest, temporary];
  },
};

/** The file that says to every program that all is one user's. */
function sandboxMark(context: InstallContext): Row {
  const path = context.path(SANDBOX_MARK);
  return {
    name: SANDBOX_MARK,
    inspect: () => (stat(path) ? null : "missing"),
    apply: () =>
      writeFileAtomic(path, "Everything here runs as the owner of this file.\n", { mode: 0o644 }),
  };
}

/** A directory, FIFO or file of the installation. */
export function hierRow(context: InstallContext, entry: HierEntry): Row {
  const path = context.path(entry.path);
  const owner = () => context.owner(entry.owner, entry.group);
  return {
    name: entry.path === "." ? context.home : entry.path,
    inspect() {
      const found = stat(path);
      if (!found) return "missing";
      if (!isType(found, entry.type)) return `not a ${entry.type}`;
      if (isShort(found, entry)) return "too short";
      return modeTrouble(path, entry.mode, owner());
    },
    async apply() {
      const found = stat(path);
      if (found && !isType(found, entry.type)) {
        throw new CommandError(`"${path}" is in the way: it is not a ${entry.type}`);
      }
      if (!found || isShort(found, entry)) await make(path, entry);
      const ids = owner();
      if (ids) chownSync(path, ids.uid, ids.gid);
      // After chown, which takes the special bits away.
      chmodSync(path, entry.mode);
    },
  };
}

function stat(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

function isType(found: Stats, type: HierEntry["type"]): boolean {
  if (type === "directory") return found.isDirectory();
  return type === "fifo" ? found.isFIFO() : found.isFile();
}

function isShort(found: Stats, { type, size = 0 }: HierEntry): boolean {
  return type === "file" && found.size < size;
}

async function make(path: string, { type, size = 0 }: HierEntry): Promise<void> {
  switch (type) {
    case "directory":
      mkdirSync(path, { recursive: true, mode: 0o700 });
      break;
    case "fifo":
      await runFirst(`make the FIFO "${path}"`, [["mkfifo", "-m", "600", path]]);
      break;
    case "file":
      writeFileAtomic(path, Buffer.alloc(size), { mode: 0o600 });
  }
}
