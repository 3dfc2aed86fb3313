/** What readers of a Maildir do: clean its tmp/, and list its messages in the order they came (maildir(5)). */

import { lstatSync, readdirSync, type Stats, unlinkSync } from "node:fs";
import { fsPath } from "../files/bytes.ts";

/** A file in tmp/ that nobody touched for so long belongs to no delivery any more. */
const ABANDONED_MS = 36 * 60 * 60 * 1000;

const NOBODY: ReadonlySet<string> = new Set();

/**
 * Removes what cut-off deliveries left in tmp/ of the Maildir `directory`, but for the paths `atWork`, however
 * old a clock that was set ahead makes them. Never throws: it can wait.
 */
export function cleanTmp(
  directory: string,
  now: number,
  { atWork = NOBODY }: { readonly atWork?: ReadonlySet<string> } = {},
): void {
  for (const name of namesIn(`${directory}/tmp`)) {
    const whole = `${directory}/tmp/${name}`;
    if (atWork.has(whole)) continue;
    const path = fsPath(whole);
    try {
      const { atimeMs, mtimeMs } = lstatSync(path);
      if (now - Math.max(atimeMs, mtimeMs) > ABANDONED_MS) unlinkSync(path);
    } catch {
      // Another was faster, or may remove what we may not.
    }
  }
}

function namesIn(path: string): string[] {
  try {
    return visible(path);
  } catch {
    return [];
  }
}

export interface MaildirEntry {
  /** Relative to the Maildir: `new/...` or `cur/...`; a byte string. */
  readonly name: string;
  /** When it came: its mtime, in milliseconds. */
  readonly time: number;
  /** Bytes of the file. */
  readonly size: number;
}

/**
 * The messages in `folders` of the Maildir `directory`, oldest first: a message is a file, no link to one. What came
 * within this second is left for the next time: more may come with the same time, and the order is not to change.
 * Throws the system's error.
 */
export function scanMaildir(
  directory: string,
  folders: readonly ("new" | "cur")[],
  now: number,
): MaildirEntry[] {
  const entries: MaildirEntry[] = [];
  const second = Math.floor(now / 1000) * 1000;
  for (const folder of folders) {
    for (const file of visible(`${directory}/${folder}`)) {
      const name = `${folder}/${file}`;
      const stat = statOrNone(`${directory}/${name}`);
      if (!stat?.isFile() || stat.mtimeMs >= second) continue;
      entries.push({ name, time: stat.mtimeMs, size: stat.size });
    }
  }
  return entries.sort((a, b) => a.time - b.time || (a.name < b.name ? -1 : 1));
}

function statOrNone(path: string): Stats | null {
  try {
    return lstatSync(fsPath(path));
  } catch {
    return null;
  }
}

/** The names in the directory `path`, byte strings, but for hidden ones. Throws the system's error. */
export function visible(path: string): string[] {
  const names = readdirSync(fsPath(path), { encoding: "latin1" });
  return names.filter((name) => !name.startsWith("."));
}
