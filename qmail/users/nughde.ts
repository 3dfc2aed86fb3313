/**
 * Whose mail an address is: users/cdb first, then the system's users, then the alias user
 * (qmail-lspawn(8), qmail-users(5), qmail-getpw(8)), each answer with how it was come by.
 */

import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { CdbFile } from "../cdb/cdb.ts";
import { QLX } from "../exit.ts";
import { fsPath } from "../files/bytes.ts";
import type { Ids } from "../ids.ts";
import { Accounts } from "./accounts.ts";
import { type Assigned, findAssigned, type Nughde } from "./assign.ts";
import { type AccountsView, aliasNughde, type Candidate, findUser } from "./getpw.ts";
import type { Passwd } from "./passwd.ts";

/** Who gets the mail for an address, and by what. */
export interface Whose {
  readonly nughde: Nughde;
  readonly by: "assign" | "user" | "alias";
  /** For `assign`: the beginning of the line that decided. */
  readonly key: string | null;
  /** For the others: the names that were tried as users. */
  readonly candidates: readonly Candidate[];
}

/** Nobody can be said to own the address now; `code` is one of QLX. */
export class NughdeError extends Error {
  readonly code: number;

  constructor(code: number, cause?: unknown) {
    super(`cannot find out whose address this is (${code})`, { cause });
    this.code = code;
  }
}

/** Errors of stat that say for certain that the home is not there. */
const ABSENT = new Set(["ENOENT", "ENOTDIR", "EACCES", "ENAMETOOLONG", "ELOOP"]);

export class Assignments {
  readonly #ids: Ids;
  readonly #cdb: CdbFile;
  readonly #view: AccountsView;

  /** For the installation in `home`. */
  constructor(home: string, ids: Ids, view: AccountsView = accountsView(home, ids)) {
    this.#ids = ids;
    this.#cdb = new CdbFile(join(home, "users/cdb"));
    this.#view = view;
  }

  /** Who gets the mail for `local`. Rejects with NughdeError. */
  async find(local: string): Promise<Whose> {
    const assigned = this.#assigned(local);
    const whose = assigned
      ? ({ nughde: assigned.nughde, by: "assign", key: assigned.key, candidates: [] } as const)
      : await userOrAlias(local, this.#view);
    if (whose.nughde.uid === 0 && !this.#ids.sandbox) throw new NughdeError(QLX.root);
    return whose;
  }

  #assigned(local: string): Assigned | null {
    try {
      const cdb = this.#cdb.read();
      return cdb && findAssigned(cdb, local);
    } catch (error) {
      throw new NughdeError(QLX.cdb, error);
    }
  }
}

/** What qmail-getpw says of `local`. Rejects with NughdeError. */
export async function userOrAlias(local: string, view: AccountsView): Promise<Whose> {
  const { nughde, candidates } = await findUser(local, view);
  if (nughde) return { nughde, by: "user", key: null, candidates };
  const alias = await view.account("alias");
  if (!alias) throw new NughdeError(QLX.noAlias);
  return { nughde: aliasNughde(alias, local), by: "alias", key: null, candidates };
}

/** The accounts that the installation in `home` delivers to. In a sandbox that is its alias user alone. */
export function accountsView(home: string, ids: Ids): AccountsView {
  const homeOwner = (path: string) => ownerOf(path);
  if (ids.sandbox) {
    const alias: Passwd = {
      name: "alias",
      uid: ids.uid.alias,
      gid: ids.gid.nofiles,
      home: Buffer.from(join(resolve(home), "alias")).toString("latin1"),
      shell: "",
    };
    return { account: async (name) => (name === "alias" ? alias : null), homeOwner };
  }
  const accounts = new Accounts();
  return {
    account: (name) =>
      accounts.find(name).catch((error) => {
        throw new NughdeError(QLX.sys, error);
      }),
    homeOwner,
  };
}

/**
 * The uid that owns the directory `home`, or null. C qmail's qmail-getpw looks as qmailp, to whom a home
 * below a closed directory is not there; we look as root, and find what its user can use.
 */
async function ownerOf(home: string): Promise<number | null> {
  try {
    return (await stat(fsPath(home))).uid;
  } catch (error) {
    if (ABSENT.has((error as NodeJS.ErrnoException).code ?? "")) return null;
    throw new NughdeError(QLX.nfs, error);
  }
}
