/**
 * Which system user an address belongs to: the account whose name is the address, or its longest
 * beginning before a break (qmail-getpw(8)); nobody's is the alias user's. An account counts when it is
 * not root's and owns its home; names with capitals never match, since addresses are compared in lower case.
 */

import { lowerAscii } from "../control/constmap.ts";
import type { Nughde } from "./assign.ts";
import type { Passwd } from "./passwd.ts";

/** Between a user and the rest of the address (C qmail: conf-break). */
export const BREAK = "-";
/** Longer names are not looked up (C qmail: GETPW_USERLEN). */
const USER_MAX = 32;

/** Where the answers come from. All may reject: then nobody can be said to own the address now. */
export interface AccountsView {
  /** The account `name`, or null. */
  account(name: string): Promise<Passwd | null>;
  /** The uid that owns the directory `home`; null when it is not there. */
  homeOwner(home: string): Promise<number | null>;
}

/** What was found about one name; `user` is null when there is no such account. */
export interface Candidate {
  readonly name: string;
  readonly user: Passwd | null;
  /** Why the account does not count; null when it does, or there is none. */
  readonly objection: string | null;
}

export interface UserFound {
  /** Null: nobody's, so the alias user's. */
  readonly nughde: Nughde | null;
  /** All names tried, the last one first found. */
  readonly candidates: readonly Candidate[];
}

/** Beginnings of `local` that may be a user, the longest first, and what follows each. */
export function userCandidates(local: string): { name: string; dash: string; ext: string }[] {
  const found: { name: string; dash: string; ext: string }[] = [];
  for (let end = local.length; end > 0; end = local.lastIndexOf(BREAK, end - 1)) {
    if (end >= USER_MAX) continue;
    const dash = end < local.length ? "-" : "";
    found.push({ name: lowerAscii(local.slice(0, end)), dash, ext: local.slice(end + 1) });
  }
  return found;
}

/** The system user that `local` belongs to. Rejects as `view` does. */
export async function findUser(local: string, view: AccountsView): Promise<UserFound> {
  const candidates: Candidate[] = [];
  const names = userCandidates(local);
  const users = await Promise.all(names.map(({ name }) => view.account(name)));
  for (const [at, { name, dash, ext }] of names.entries()) {
    const user = users[at] ?? null;
    const objection = user && (await objectionTo(user, view));
    candidates.push({ name, user, objection });
    if (user && objection === null) {
      return { nughde: { ...nughdeOf(user), dash, ext }, candidates };
    }
  }
  return { nughde: null, candidates };
}

/** What `local` is to the alias user `alias`. */
export function aliasNughde(alias: Passwd, local: string): Nughde {
  return { ...nughdeOf(alias), dash: "-", ext: local };
}

function nughdeOf({ name, uid, gid, home }: Passwd) {
  return { name, uid, gid, home };
}

async function objectionTo({ uid, home }: Passwd, view: AccountsView): Promise<string | null> {
  if (uid === 0) return "uid 0: nothing is delivered as root";
  const owner = await view.homeOwner(home);
  if (owner === null) return `its home ${home} is not there`;
  return owner === uid ? null : `its home ${home} belongs to uid ${owner}, not ${uid}`;
}
