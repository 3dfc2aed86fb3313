/**
 * Root at work in what belongs to another: as that other. Whatever he has put in the place of a file of his,
 * he could have done to it himself.
 *
 * Only the effective ids change, so that we can come back; the whole process has them meanwhile. He can do
 * nothing to us: for signals and debuggers the real uid counts, which stays root's.
 */

import type { FileOwner } from "./atomic.ts";

/** Makes `user` of us until the function that it returns is called. Of who is not root nothing is changed. Throws on trouble. */
export function becomeUser(user: FileOwner): () => void {
  if (process.getuid?.() !== 0) return () => {};
  const before = {
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
    groups: process.getgroups?.() ?? [],
  };
  change({ ...user, groups: [user.gid] });
  return () => change(before);
}

/** What `action` comes to when it is done as `user`; it must be over when it returns. */
export function asUser<T>(user: FileOwner, action: () => T): T {
  const back = becomeUser(user);
  try {
    return action();
  } finally {
    back();
  }
}

function change({ uid, gid, groups }: FileOwner & { readonly groups: number[] }): void {
  // Root alone may choose.
  process.seteuid?.(0);
  process.setgroups?.(groups);
  process.setegid?.(gid);
  process.seteuid?.(uid);
}
