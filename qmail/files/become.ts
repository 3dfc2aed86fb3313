/** Giving up root for good, as every daemon does that needs it only to begin. */

export interface Identity {
  readonly uid: number;
  readonly gid: number;
  /**
   * The group of what the process starts (its real one, which it may choose for children without root); `gid` when absent.
   * So who reads the queue can start somebody who cannot.
   */
  readonly childGid?: number;
}

/** Makes us `identity`, without any other group. Does nothing when we are not root. Throws when it cannot be done. */
export function become({ uid, gid, childGid = gid }: Identity): void {
  if (process.getuid?.() !== 0) return;
  process.setgroups?.([]);
  process.setgid?.(childGid);
  if (childGid !== gid) process.setegid?.(gid);
  process.setuid?.(uid);
}
