/**
 * System users and groups by name, for who can wait; accounts.ts is for who cannot.
 *
 * Node has no getpwnam(3). /etc/passwd is read and kept until it changes; only where
 * nsswitch.conf names a further source (LDAP, sssd, ...) is getent(1) asked, and its answer kept
 * for a minute.
 */

import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";

/** One line of passwd(5), in byte strings. */
export interface Passwd {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
}

/** One line of group(5). */
export interface Group {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

const NSS_TTL_MS = 60_000;

/** Parses one line of passwd(5); null when it is not one. */
export function parsePasswdLine(line: string): Passwd | null {
  const [name, , uid, gid, , home, shell] = line.split(":");
  if (!name || home === undefined || !/^\d+$/.test(uid ?? "") || !/^\d+$/.test(gid ?? "")) {
    return null;
  }
  return { name, uid: Number(uid), gid: Number(gid), home, shell: shell ?? "" };
}

/** Parses one line of group(5); null when it is not one. */
export function parseGroupLine(line: string): Group | null {
  const [name, , gid, members] = line.split(":");
  if (!name || !/^\d+$/.test(gid ?? "")) return null;
  return { name, gid: Number(gid), members: (members ?? "").split(",").filter(Boolean) };
}

interface Entry {
  readonly name: string;
}

/** A database of named lines: the file itself, then getent where the system has more than files. */
class NameDatabase<E extends Entry> {
  readonly #file: string;
  readonly #parse: (line: string) => E | null;
  readonly #nss = new Map<string, { entry: E | null; until: number }>();
  #stamp = "";
  #entries = new Map<string, E>();

  constructor(file: string, parse: (line: string) => E | null) {
    this.#file = file;
    this.#parse = parse;
  }

  all(): ReadonlyMap<string, E> {
    const { mtimeMs, size, ino } = statSync(`/etc/${this.#file}`);
    const stamp = `${mtimeMs} ${size} ${ino}`;
    if (stamp !== this.#stamp) {
      const entries = new Map<string, E>();
      for (const line of readFileSync(`/etc/${this.#file}`, "latin1").split("\n")) {
        const entry = this.#parse(line);
        if (entry && !entries.has(entry.name)) entries.set(entry.name, entry);
      }
      this.#entries = entries;
      this.#stamp = stamp;
      this.#nss.clear();
    }
    return this.#entries;
  }

  get(name: string): E | null {
    const entry = this.all().get(name);
    if (entry) return entry;
    if (!hasMoreThanFiles(this.#file)) return null;
    const now = Date.now();
    const known = this.#nss.get(name);
    if (known && known.until > now) return known.entry;
    const found = this.#getent(name);
    if (this.#nss.size > 10_000) this.#nss.clear();
    this.#nss.set(name, { entry: found, until: now + NSS_TTL_MS });
    return found;
  }

  #getent(name: string): E | null {
    try {
      const line = execFileSync("getent", [this.#file, name], {
        encoding: "latin1",
        timeout: 10_000,
        stdio: ["ignore", "pipe", "ignore"],
      });
      const entry = this.#parse(line.trimEnd());
      // To getent digits are a uid or gid, which nobody asked for.
      return entry?.name === name ? entry : null;
    } catch (error) {
      // 2 is getent's "no such key"; anything else is trouble that must not look like "no user".
      if ((error as { status?: number }).status === 2) return null;
      throw new Error(`cannot look up "${name}" in ${this.#file}: getent failed`, { cause: error });
    }
  }
}

/** Whether nsswitch.conf names sources for `database` besides the file in /etc. */
export function hasMoreThanFiles(database: string): boolean {
  let nsswitch = "";
  try {
    nsswitch = readFileSync("/etc/nsswitch.conf", "utf8");
  } catch {
    // None: the file alone.
  }
  return namesOtherSources(nsswitch, database);
}

/** As `hasMoreThanFiles`, for the text of nsswitch.conf(5). Pure. */
export function namesOtherSources(nsswitch: string, database: string): boolean {
  const sources = new RegExp(`^\\s*${database}:([^#\n]*)`, "m").exec(nsswitch)?.[1] ?? "files";
  return sources
    .replace(/\[[^\]]*\]/g, " ")
    .split(/\s+/)
    .some((source) => source !== "" && source !== "files");
}

const passwd = new NameDatabase("passwd", parsePasswdLine);
const group = new NameDatabase("group", parseGroupLine);

/** The user `name` of /etc/passwd, or null. Throws when the file cannot be read. */
export function localPasswd(name: string): Passwd | null {
  return passwd.all().get(name) ?? null;
}

/** The system user `name`, or null. Throws when the system cannot say. */
export function getpwnam(name: string): Passwd | null {
  return passwd.get(name);
}

/** The system user with `uid` among the local files, or null. */
export function getpwuid(uid: number): Passwd | null {
  for (const entry of passwd.all().values()) if (entry.uid === uid) return entry;
  return null;
}

/** The system group `name`, or null. Throws when the system cannot say. */
export function getgrnam(name: string): Group | null {
  return group.get(name);
}

/** The system group with `gid` among the local files, or null. */
export function getgrgid(gid: number): Group | null {
  for (const entry of group.all().values()) if (entry.gid === gid) return entry;
  return null;
}

/** The users of the local files whose primary group is `gid`. */
export function usersOfGroup(gid: number): Passwd[] {
  return [...passwd.all().values()].filter((entry) => entry.gid === gid);
}
