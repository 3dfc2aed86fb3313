/** Whether a secret is one. */

import type { Stats } from "node:fs";

const EVERYBODY = 0o007;
const GROUP = 0o070;
const OTHERS_WRITE = 0o022;

/** Who may use the file besides its owner and, to read, its group: in words; null when nobody may. */
export function exposure({ mode }: Pick<Stats, "mode">): string | null {
  const octal = (mode & 0o7777).toString(8).padStart(4, "0");
  if ((mode & EVERYBODY) !== 0) return `everybody may use it (mode ${octal})`;
  return (mode & OTHERS_WRITE) === 0 ? null : `others may write it (mode ${octal})`;
}

/** The same of a file that root alone needs. */
export function exposureBesideRoot({
  mode,
  uid,
  gid,
}: Pick<Stats, "mode" | "uid" | "gid">): string | null {
  const why = exposure({ mode });
  if (why !== null) return why;
  if (uid !== 0) return `it belongs to uid ${uid}`;
  if (gid === 0 || (mode & GROUP) === 0) return null;
  return `the group ${gid} may use it (mode ${(mode & 0o7777).toString(8).padStart(4, "0")})`;
}

/** What the administrator of a real installation is told of a TLS key there; `why` is what is wrong. */
export function keyAdvice(path: string, why: string): string {
  return `${why}; root alone needs it: chown root: "${path}" && chmod 600 "${path}"`;
}
