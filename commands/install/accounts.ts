/** The users and groups of qmail (qmail's INSTALL.ids), made with whatever the system has for it. */

import { execa } from "execa";
import { toBytes } from "../../qmail/arguments.ts";
import { QMAIL_GROUPS, QMAIL_USERS, type QmailUser } from "../../qmail/ids.ts";
import { getgrgid, getgrnam, getpwnam } from "../../qmail/users/passwd.ts";
import { CommandError } from "../output.ts";
import type { InstallContext, Row } from "./step.ts";

const SHELL = "/bin/false";

/** A row for each group and user. */
export function accountRows(context: InstallContext): Row[] {
  return [...QMAIL_GROUPS.map(groupRow), ...QMAIL_USERS.map((name) => userRow(context, name))];
}

function groupOf(name: QmailUser): "qmail" | "nofiles" {
  return ["qmailq", "qmailr", "qmails"].includes(name) ? "qmail" : "nofiles";
}

function groupRow(name: string): Row {
  return {
    name: `group ${name}`,
    inspect: () => (getgrnam(name) ? null : "missing"),
    apply: () => runFirst(`make the group ${name}`, groupCommands(name)),
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
      if (user.home !== toBytes(home)) return `home ${user.home}, not ${home}`;
      if (user.gid !== getgrnam(group)?.gid) {
        return `group ${getgrgid(user.gid)?.name ?? user.gid}, not ${group}`;
      }
      if (user.uid === 0) return "uid 0, which no part of qmail may have";
      return null;
    },
    apply() {
      const user = getpwnam(name);
      if (user) throw conflict(name, this.inspect() ?? "", { home, group });
      return runFirst(`make the user ${name}`, userCommands(name, { group, home }));
    },
  };
}

/** The commands that make a group, of Linux, BusyBox and FreeBSD. Debian's adduser has other options, but there useradd comes first. */
export function groupCommands(name: string): string[][] {
  return [
    ["groupadd", "-r", name],
    ["addgroup", "-S", name],
    ["pw", "groupadd", name],
  ];
}

/** And a user who cannot log in. */
export function userCommands(
  name: string,
  { group, home }: { group: string; home: string },
): string[][] {
  return [
    ["useradd", "-r", "-M", "-N", "-g", group, "-d", home, "-s", SHELL, name],
    ["adduser", "-S", "-D", "-H", "-h", home, "-s", SHELL, "-G", group, name],
    ["pw", "useradd", name, "-g", group, "-d", home, "-s", SHELL],
  ];
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

/** Runs the first of `commands` that the system has. Throws CommandError when it fails or there is none. */
export async function runFirst(what: string, commands: readonly string[][]): Promise<void> {
  for (const [program = "", ...args] of commands) {
    const result = await execa(program, args, { reject: false, stdin: "ignore" });
    if (result.code === "ENOENT") continue;
    if (!result.failed) return;
    const said: string =
      result.stderr?.trim() || result.shortMessage || `exit code ${result.exitCode}`;
    throw new CommandError(`cannot ${what}: ${program}: ${said.replace(`${program}: `, "")}`);
  }
  const known = commands.map(([program]) => program).join(", ");
  throw new CommandError(`cannot ${what}: this system has none of ${known}`, {
    hints: ["install one of them, or make the account by hand, and run qmailctl install again"],
  });
}
