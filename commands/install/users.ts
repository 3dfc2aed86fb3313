/** Step 1: groups, users, and the directories of the home and the queue. */

import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  openSync,
  type Stats,
  statSync,
  writeSync,
} from "node:fs";
import { execa } from "execa";
import { HIER, type HierEntry } from "../../qmail/hier.ts";
import { QMAIL_GROUPS, QMAIL_USERS, type QmailUser, SANDBOX_MARK } from "../../qmail/ids.ts";
import { getgrgid, getgrnam, getpwnam } from "../../qmail/users/passwd.ts";
import { CommandError } from "../output.ts";
import { type InstallContext, modeTrouble, type Row, type Step } from "./step.ts";

const SHELL = "/bin/false";

export const users: Step = {
  title: "users, groups and directories",
  rows(context) {
    const service = context.config.smtp ? ["qmail-send", "qmail-smtpd"] : ["qmail-send"];
    const logs = service.map((name): HierEntry => {
      return {
        path: `log/${name}`,
        type: "directory",
        owner: "qmaill",
        group: "nofiles",
        mode: 0o750,
      };
    });
    const entries = [...HIER, ...logs].map((entry) => hierRow(context, entry));
    if (!context.config.sandbox) {
      const groups = QMAIL_GROUPS.map(groupRow);
      return [...groups, ...QMAIL_USERS.map((name) => userRow(context, name)), ...entries];
    }
    const [home, ...rest] = entries;
    return [home as Row, sandboxMark(context), ...rest];
  },
};

function groupOf(name: QmailUser): "qmail" | "nofiles" {
  return ["qmailq", "qmailr", "qmails"].includes(name) ? "qmail" : "nofiles";
}

function groupRow(name: string): Row {
  return {
    name: `group ${name}`,
    inspect: () => (getgrnam(name) ? null : "missing"),
    apply: () =>
      runFirst(`make the group ${name}`, [
        ["groupadd", "-r", name],
        ["addgroup", "-S", name],
        ["pw", "groupadd", name],
      ]),
  };
}

function userRow(context: InstallContext, name: QmailUser): Row {
  const home = name === "alias" ? context.path("alias") : context.home;
  const group = groupOf(name);
  return {
    name: `user ${name}`,
    inspect() {
      const user = getpwnam(name);
      if (!user) return "missing";
      if (user.home !== home) return `home ${user.home}, not ${home}`;
      if (user.gid !== getgrnam(group)?.gid) {
        return `group ${getgrgid(user.gid)?.name ?? user.gid}, not ${group}`;
      }
      if (user.uid === 0) return "uid 0, which no part of qmail may have";
      return null;
    },
    apply() {
      const user = getpwnam(name);
      if (user) throw conflict(name, this.inspect() ?? "", { home, group });
      return runFirst(`make the user ${name}`, [
        ["useradd", "-r", "-M", "-N", "-g", group, "-d", home, "-s", SHELL, name],
        ["adduser", "-S", "-D", "-H", "-h", home, "-s", SHELL, "-G", group, name],
        ["pw", "useradd", name, "-g", group, "-d", home, "-s", SHELL],
      ]);
    },
  };
}

/** An account of that name that is another's, or another installation's, is not ours to change. */
function conflict(name: string, why: string, want: { home: string; group: string }): CommandError {
  return new CommandError(`the user "${name}" exists already: ${why}`, {
    hints: [
      `if it is left over: usermod -g ${want.group} -d ${want.home} ${name}`,
      "or install beside it as a sandbox: qmailctl install --sandbox --home DIR",
    ],
  });
}

async function runFirst(what: string, commands: readonly string[][]): Promise<void> {
  for (const [program, ...args] of commands) {
    const result = await execa(program as string, args, { reject: false, stdin: "ignore" });
    if (result.code === "ENOENT") continue;
    if (result.failed) {
      throw new CommandError(`cannot ${what}: ${program}: ${result.stderr || result.shortMessage}`);
    }
    return;
  }
  const known = commands.map(([program]) => program).join(", ");
  throw new CommandError(`cannot ${what}: this system has none of ${known}`);
}

/** The file that says to every program that all is one user's. */
function sandboxMark(context: InstallContext): Row {
  const path = context.path(SANDBOX_MARK);
  return {
    name: SANDBOX_MARK,
    inspect: () => (stat(path) ? null : "missing"),
    apply() {
      const fd = openSync(path, "wx", 0o644);
      writeSync(fd, "Everything here runs as the owner of this file.\n");
      closeSync(fd);
    },
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
      return modeTrouble(path, entry.mode, owner());
    },
    async apply() {
      const found = stat(path);
      if (found && !isType(found, entry.type)) {
        throw new CommandError(`"${path}" is in the way: it is not a ${entry.type}`);
      }
      if (!found) await make(path, entry);
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

async function make(path: string, { type, size = 0 }: HierEntry): Promise<void> {
  switch (type) {
    case "directory":
      mkdirSync(path, { recursive: true, mode: 0o700 });
      break;
    case "fifo":
      await runFirst(`make the FIFO "${path}"`, [["mkfifo", "-m", "600", path]]);
      break;
    case "file": {
      const fd = openSync(path, "wx", 0o600);
      writeSync(fd, Buffer.alloc(size));
      closeSync(fd);
    }
  }
}
