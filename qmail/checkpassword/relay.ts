/**
 * POP-before-SMTP: who has read mail may send mail from the same address for a while.
 *
 * A file per address, named as the address; its modification time is the last login. Whoever can write the directory opens
 * relaying: it belongs to root, or in a sandbox to its user.
 */

import { closeSync, futimesSync, openSync, readdirSync, statSync, unlinkSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";

/** The control file with the seconds that relaying stays open; 0 or no file: POP-before-SMTP is off. */
export const RELAY_CONTROL = "popbeforesmtp";
/** Where the files are, below the qmail home. */
export const RELAY_DIRECTORY = "run/relay";

/** Opens relaying for `ip` now. Does nothing for what is no address. */
export function openRelay(directory: string, ip: string, now = Date.now() / 1000): void {
  if (isIP(ip) === 0) return;
  const fd = openSync(join(directory, fileName(ip)), "w", 0o644);
  try {
    futimesSync(fd, now, now);
  } finally {
    closeSync(fd);
  }
}

/** Whether somebody at `ip` has logged in within the last `seconds`. */
export function isRelayOpen(
  directory: string,
  ip: string,
  { seconds, now = Date.now() / 1000 }: { seconds: number; now?: number },
): boolean {
  if (isIP(ip) === 0 || seconds <= 0) return false;
  const stat = statSync(join(directory, fileName(ip)), { throwIfNoEntry: false });
  // A login ahead of now was before the clock went back; one further ahead than this would count for as long.
  return stat !== undefined && Math.abs(now - stat.mtimeMs / 1000) < seconds;
}

/** Removes the files that open nothing any more. */
export function closeRelays(
  directory: string,
  { seconds, now = Date.now() / 1000 }: { seconds: number; now?: number },
): void {
  for (const name of readdirSync(directory)) {
    if (!isRelayOpen(directory, name, { seconds, now })) unlinkSync(join(directory, name));
  }
}

/** An interface (`%eth0`) says where we saw the address, not who has it. */
function fileName(ip: string): string {
  return ip.replace(/%.*/, "").toLowerCase();
}
