/**
 * Whether what is at a path may be run as us. Who can write a program, or put another in its place, is we.
 *
 * It may when it and every directory above it, links included, belong to root or to us and nobody else may write
 * them. Two exceptions, and why:
 *
 * - A directory above with the sticky bit, as /tmp: others may make names there but not touch ours. The file's own
 *   directory may be none: there somebody else could have been first with the name.
 * - A group that may write, when it is its owner's private group (his name, his primary group, nobody else in it):
 *   many systems make users so, with a umask of 002. A group that is not in /etc/group is nobody's private group.
 */

import { lstatSync, readlinkSync, realpathSync, type Stats } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { getgrgid, getpwuid, usersOfGroup } from "../qmail/users/passwd.ts";
import { harmless } from "./printable.ts";

const GROUP_WRITE = 0o020;
const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;
/** As the kernel has it: more are a loop. */
const LINKS_MAX = 40;

/** Why what is at `path` is not to be run; null when it may be. Throws the system's error when it cannot be looked at. */
export function distrust(path: string): string | null {
  let at = "/";
  let rest = names(resolve(path));
  let links = 0;
  let why = reason(at, lstatSync(at), { isAbove: rest.length > 1 });
  while (why === null && rest.length > 0) {
    const [name = "", ...more] = rest;
    const next = name === ".." ? dirname(at) : join(at, name);
    const stat = lstatSync(next);
    if (stat.isSymbolicLink()) {
      if (++links > LINKS_MAX) return `"${next}" is one of too many links`;
      why = ownerReason(next, stat);
      const target = readlinkSync(next);
      if (target.startsWith("/")) at = "/";
      rest = [...names(target), ...more];
    } else {
      why = reason(next, stat, { isAbove: more.length > 1 });
      at = next;
      rest = more;
    }
  }
  return why;
}

/** What a daemon finds programs in when the caller's own directories are none that it may trust. */
const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * The directories of `path`, a PATH, that belong to root or to us, and so does every directory above, and in which not
 * everybody may make a name. A group may, as staff in /usr/local of many systems.
 */
export function trustedPath(path: string): string {
  return path.split(":").filter(isTrustedDirectory).join(":") || SYSTEM_PATH;
}

function isTrustedDirectory(path: string): boolean {
  if (!path.startsWith("/")) return false;
  try {
    const directory = realpathSync(path);
    for (let at = directory; ; at = dirname(at)) {
      const stat = lstatSync(at);
      const open = (stat.mode & OTHERS_WRITE) !== 0;
      const sticky = at !== directory && (stat.mode & STICKY) !== 0;
      if (!stat.isDirectory() || ownerReason(at, stat) !== null || (open && !sticky)) return false;
      if (at === "/") return true;
    }
  } catch {
    return false;
  }
}

function names(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

/** `isAbove`: it is a directory, and not the one that the file is in. */
function reason(path: string, stat: Stats, { isAbove }: { isAbove: boolean }): string | null {
  const foreign = ownerReason(path, stat);
  if (foreign !== null) return foreign;
  const { mode, gid } = stat;
  if (isAbove && (mode & STICKY) !== 0) return null;
  if ((mode & OTHERS_WRITE) !== 0) return `everybody may write ${show(path)}`;
  if ((mode & GROUP_WRITE) === 0 || isPrivateGroup(stat)) return null;
  return `the group ${getgrgid(gid)?.name ?? gid} may write ${show(path)}`;
}

function ownerReason(path: string, { uid }: Stats): string | null {
  if (uid === 0 || uid === process.geteuid?.()) return null;
  return `${show(path)} belongs to ${getpwuid(uid)?.name ?? `uid ${uid}`}`;
}

function isPrivateGroup({ uid, gid }: Stats): boolean {
  const group = getgrgid(gid);
  const owner = getpwuid(uid);
  if (!group || !owner || group.name !== owner.name || owner.gid !== gid) return false;
  const others = [...group.members, ...usersOfGroup(gid).map(({ name }) => name)];
  return others.every((name) => name === owner.name);
}

function show(path: string): string {
  return `"${harmless(path)}"`;
}
