/** Which mailboxes mail for a login fills: a login is to read just these. */

import { basename, dirname, normalize } from "node:path";
import { openSite } from "../explain/site.ts";
import { type Explanation, walk } from "../explain/walk.ts";
import { CommandError } from "../output.ts";

/** A mailbox that mail is delivered to. */
export interface Filled {
  readonly path: string;
  /** Whose it is. */
  readonly uid: number;
  readonly gid: number;
}

/** The mailboxes of mail for `login` on the installation in `home`; none when nobody can say. */
export async function filledBy(home: string, login: string): Promise<readonly Filled[]> {
  try {
    return mailboxes(await walk(openSite(home), login));
  } catch (error) {
    if (error instanceof CommandError) return [];
    throw error;
  }
}

function mailboxes({ user, actions }: Explanation): Filled[] {
  return actions.flatMap(({ path, forward }) => {
    if (forward) return mailboxes(forward);
    if (path === null || user === null) return [];
    return [{ path: normalize(path).replace(/\/$/, ""), uid: user.uid, gid: user.gid }];
  });
}

/** The home that the mailbox `path` would be of as a login's; null for one that no login reads. */
export function mailhomeOf(path: string): string | null {
  return basename(path) === "Maildir" ? dirname(path) : null;
}
