/**
 * Who runs what: qmail's seven users and two groups, as numbers.
 *
 * A real installation has them in the user database. A sandbox (marked by the file `.sandbox` in
 * the home) runs everything as the owner of that file, with the same code.
 */

import { statSync } from "node:fs";
import { join } from "node:path";
import { getgrnam, getpwnam } from "./users/passwd.ts";

export const QMAIL_USERS = [
  "alias",
  "qmaild",
  "qmaill",
  "qmailp",
  "qmailq",
  "qmailr",
  "qmails",
] as const;
export const QMAIL_GROUPS = ["qmail", "nofiles"] as const;

export type QmailUser = (typeof QMAIL_USERS)[number];
export type QmailGroup = (typeof QMAIL_GROUPS)[number];

/** The file that marks a home as a sandbox. */
export const SANDBOX_MARK = ".sandbox";

/** True when everything of the installation in `home` runs as one user. */
export function isSandbox(home: string): boolean {
  return statSync(join(home, SANDBOX_MARK), { throwIfNoEntry: false }) !== undefined;
}

export interface Ids {
  /** True when everything runs as one user. */
  readonly sandbox: boolean;
  /** uid of each of the seven users. */
  readonly uid: Readonly<Record<QmailUser, number>>;
  /** gid of each of the two groups. */
  readonly gid: Readonly<Record<QmailGroup, number>>;
  /** Owner of the installed files: root, or the sandbox's user. */
  readonly owner: number;
}

/**
 * The ids of the installation in `home`.
 * Throws an Error that names the missing user or group.
 */
export function readIds(home: string): Ids {
  const mark = statSync(join(home, SANDBOX_MARK), { throwIfNoEntry: false });
  if (mark) return sandboxIds(mark.uid, mark.gid);
  const uid = Object.fromEntries(QMAIL_USERS.map((name) => [name, userId(name)]));
  const gid = Object.fromEntries(QMAIL_GROUPS.map((name) => [name, groupId(name)]));
  return { sandbox: false, uid: uid as Ids["uid"], gid: gid as Ids["gid"], owner: 0 };
}

/** The ids of a sandbox that belongs to `uid` and `gid`. */
export function sandboxIds(uid: number, gid: number): Ids {
  return {
    sandbox: true,
    uid: Object.fromEntries(QMAIL_USERS.map((name) => [name, uid])) as Ids["uid"],
    gid: Object.fromEntries(QMAIL_GROUPS.map((name) => [name, gid])) as Ids["gid"],
    owner: uid,
  };
}

function userId(name: string): number {
  const entry = getpwnam(name);
  if (!entry) throw new Error(`cannot find the user "${name}": run qmailctl install`);
  return entry.uid;
}

function groupId(name: string): number {
  const entry = getgrnam(name);
  if (!entry) throw new Error(`cannot find the group "${name}": run qmailctl install`);
  return entry.gid;
}
