/** Whether a secret is one. */

import type { Stats } from "node:fs";

const EVERYBODY = 0o007;
const OTHERS_WRITE = 0o022;

/** Who may use the file besides its owner and, to read, its group: in words; null when nobody may. */
export function exposure({ mode }: Pick<Stats, "mode">): string | null {
  const octal = (mode & 0o7777).toString(8).padStart(4, "0");
  if ((mode & EVERYBODY) !== 0) return `everybody may use it (mode ${octal})`;
  return (mode & OTHERS_WRITE) === 0 ? null : `others may write it (mode ${octal})`;
}
