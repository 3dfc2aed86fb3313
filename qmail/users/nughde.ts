/**
 * Whose mail an address is: name, uid, gid, home, dash, extension ("nughde"), from users/cdb, then
 * from the system's users, then the alias user (qmail-lspawn(8), qmail-users(5), qmail-getpw(8)).
 */

import { type Stats, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { CdbFile, cdbGet } from "../cdb/cdb.ts";
import { lowerAscii } from "../control/constmap.ts";
import { QLX } from "../exit.ts";
import type { Ids } from "../ids.ts";
import { getpwnam, type Passwd } from "./passwd.ts";

export interface Nughde {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly dash: string;
  readonly ext: string;
}

/** Nobody can be said to own the address now; `code` is one of QLX. */
export class NughdeError extends Error {
  readonly code: number;
  constructor(code: number, cause?: unknown) {
    super(`cannot find out whose address this is (${code})`, { cause });
    this.code = code;
  }
}

/** Longer names are not looked up as users (C qmail: GETPW_USERLEN). */
const USER_MAX = 32;
/** Errors of stat that say for certain that the home is not there. */
const ABSENT = new Set(["ENOENT", "ENOTDIR", "EACCES", "ENAMETOOLONG", "ELOOP"]);

export class Assignments {
  readonly #home: string;
  readonly #ids: Ids;
  readonly #cdb: CdbFile;

  /** For the installation in `home`. */
  constructor(home: string, ids: Ids) {
    this.#home = resolve(home);
    this.#ids = ids;
    this.#cdb = new CdbFile(join(home, "users/cdb"));
  }

  /** Who gets the mail for `local`. Throws NughdeError. */
  find(local: string): Nughde {
    return this.#assigned(local) ?? this.#systemUser(local) ?? this.#alias(local);
  }

  /** users/cdb: the whole local part, or the longest beginning that ends in a break character. */
  #assigned(local: string): Nughde | null {
    try {
      const cdb = this.#cdb.read();
      if (!cdb) return null;
      const breaks = cdbGet(cdb, Buffer.alloc(0))?.toString("latin1");
      if (breaks === undefined) throw new Error("users/cdb has no break characters");
      const key = `!${lowerAscii(local)}`;
      const exact = cdbGet(cdb, Buffer.from(`${key}\0`, "latin1"));
      if (exact) return parseNughde(exact, "");
      for (let at = key.length; at > 0; at--) {
        if (at > 1 && !breaks.includes(key[at - 1] as string)) continue;
        const wild = cdbGet(cdb, Buffer.from(key.slice(0, at), "latin1"));
        if (wild) return parseNughde(wild, local.slice(at - 1));
      }
      return null;
    } catch (error) {
      throw new NughdeError(QLX.cdb, error);
    }
  }

  #systemUser(local: string): Nughde | null {
    // In a sandbox no delivery can be made as another user.
    if (this.#ids.sandbox) return null;
    for (let end = local.length; end >= 0; end = local.lastIndexOf("-", end - 1)) {
      if (end < USER_MAX) {
        const user = this.#lookUp(lowerAscii(local.slice(0, end)));
        if (user && owns(user)) {
          const { name, uid, gid, home } = user;
          const dash = end < local.length ? "-" : "";
          return { name, uid, gid, home, dash, ext: local.slice(end + 1) };
        }
      }
      if (end === 0) break;
    }
    return null;
  }

  #alias(local: string): Nughde {
    if (this.#ids.sandbox) {
      const { uid, gid } = this.#ids;
      const home = join(this.#home, "alias");
      return { name: "alias", uid: uid.alias, gid: gid.nofiles, home, dash: "-", ext: local };
    }
    const alias = this.#lookUp("alias");
    if (!alias) throw new NughdeError(QLX.noAlias);
    const { name, uid, gid, home } = alias;
    return { name, uid, gid, home, dash: "-", ext: local };
  }

  #lookUp(name: string): Passwd | null {
    try {
      return getpwnam(name);
    } catch (error) {
      throw new NughdeError(QLX.sys, error);
    }
  }
}

/** A user that counts: not root, with a home that belongs to him. */
function owns(user: Passwd): boolean {
  if (user.uid === 0) return false;
  let stat: Stats;
  try {
    stat = statSync(user.home);
  } catch (error) {
    if (ABSENT.has((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw new NughdeError(QLX.nfs, error);
  }
  return stat.uid === user.uid;
}

/** `name NUL uid NUL gid NUL home NUL dash NUL ext`, with `rest` of the address behind the extension. */
function parseNughde(data: Buffer, rest: string): Nughde {
  const [name, uid, gid, home, dash, ext] = data.toString("latin1").split("\0");
  if (!name || !home || dash === undefined || ext === undefined) {
    throw new Error("users/cdb has a record that is not whole");
  }
  return { name, uid: Number(uid), gid: Number(gid), home, dash, ext: ext + rest };
}
