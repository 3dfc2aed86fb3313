/** Step 1: groups, users, and the directories of the home and the queue. */

import { fstatSync, mkdirSync, type Stats, statSync } from "node:fs";
import { writeFileAtomic } from "../../qmail/files/atomic.ts";
import {
  ForeignLinkError,
  makeFifo,
  type Place,
  setAccess,
  statWithin,
  within,
} from "../../qmail/files/foreign-directory.ts";
import { HIER, type HierEntry } from "../../qmail/hier.ts";
import { SANDBOX_MARK } from "../../qmail/ids.ts";
import { getgrnam } from "../../qmail/users/passwd.ts";
import { CommandError } from "../output.ts";
import { accountRows } from "./accounts.ts";
import { serviceNames } from "./services.ts";
import { accessTrouble, type InstallContext, type Row, type Step } from "./step.ts";
import { temporaryRow } from "./temporary.ts";

/** All that a null client has: it needs no users either. */
const CLIENT_HIER = HIER.filter(({ path }) => [".", "bin", "control"].includes(path));

export const users: Step = {
  title: "users, groups and directories",
  rows(context) {
    if (context.config.hubs) return CLIENT_HIER.map((entry) => hierRow(context, entry));
    const logs = serviceNames(context.config).map((name) => logRow(context, name));
    const entries = [...HIER.map((entry) => hierRow(context, entry)), ...logs];
    const temporary = temporaryRow(context);
    if (!context.config.sandbox) return [...accountRows(context), ...entries, temporary];
    const [home, ...rest] = entries;
    return [home as Row, sandboxMark(context), ...rest, temporary];
  },
};

/** The log of a service: for root, who writes it, and a group of administrators; nofiles are the network daemons, too. */
function logRow(context: InstallContext, service: string): Row {
  const { logGroup, sandbox } = context.config;
  const shared = logGroup !== null && !sandbox;
  const entry = {
    path: `log/${service}`,
    type: "directory",
    owner: "qmaill",
    group: "nofiles",
    mode: shared ? 0o750 : 0o700,
  } as const;
  if (!shared) return hierRow(context, entry);
  return hierRow(context, entry, () => {
    const owner = context.owner("qmaill", "nofiles");
    return owner && { ...owner, gid: groupId(logGroup) };
  });
}

function groupId(name: string): number {
  const group = getgrnam(name);
  if (group) return group.gid;
  throw new CommandError(`cannot let the group "${name}" read the logs: there is none`, {
    hints: [`make it: groupadd ${name}`, "or name another: logGroup in the config file"],
  });
}

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
export function hierRow(
  context: InstallContext,
  entry: HierEntry,
  owner = () => context.owner(entry.owner, entry.group),
): Row {
  const { home } = context;
  return {
    name: entry.path === "." ? home : entry.path,
    inspect() {
      const found = look(home, entry);
      if (!found) return "missing";
      if (!isType(found, entry.type)) return `not a ${entry.type}`;
      if (isShort(found, entry)) return "too short";
      return accessTrouble(found, entry.mode, owner());
    },
    apply() {
      const found = look(home, entry);
      if (found && !isType(found, entry.type)) throw inTheWay(context.path(entry.path), entry);
      if (!found && entry.path === ".") mkdirSync(home, { recursive: true, mode: 0o700 });
      within(home, entry.path, (place) => {
        if (entry.path !== "." && (!found || isShort(found, entry))) make(place, entry);
        const { uid, gid } = owner() ?? { uid: -1, gid: -1 };
        const isMeant = (fd: number) => isType(fstatSync(fd), entry.type);
        setAccess(place, { uid, gid, mode: entry.mode }, { isMeant });
      });
    },
  };
}

function look(home: string, { path }: HierEntry): Stats | undefined {
  try {
    return path === "." ? stat(home) : statWithin(home, path);
  } catch (error) {
    if (!(error instanceof ForeignLinkError)) throw error;
    throw new CommandError(error.message, {
      hints: ["who has put it there? Remove it, or make it a directory"],
      cause: error,
    });
  }
}

function inTheWay(path: string, { type }: HierEntry): CommandError {
  return new CommandError(`"${path}" is in the way: it is not a ${type}`, {
    hints: ["who has put it there? Remove it, and run qmailctl install again"],
  });
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

function make(place: Place, { type, size = 0 }: HierEntry): void {
  switch (type) {
    case "directory":
      mkdirSync(place.path, { mode: 0o700 });
      break;
    case "fifo":
      makeFifo(place);
      break;
    case "file":
      writeFileAtomic(String(place.path), Buffer.alloc(size), { mode: 0o600 });
  }
}
