/** What waits in drop, for those who show it: with the daemons up that is nothing, or something is wrong. */

import { lstatSync, readdirSync } from "node:fs";
import { fsPath } from "../files/bytes.ts";
import { DROP_DIRECTORY } from "./protocol.ts";

export interface DropsWaiting {
  /** Files that are messages by name. */
  readonly messages: number;
  readonly bytes: number;
  /** When the oldest of them came, in milliseconds since 1970; null when there is none. */
  readonly since: number | null;
  /** What is neither a message nor one in the making: nothing of ours put it there. */
  readonly odd: number;
}

/** Looks at drop in `home`; null where there is none, or it is closed to us. */
export function dropsWaiting(home: string): DropsWaiting | null {
  const directory = `${home}/${DROP_DIRECTORY}`;
  let names: string[];
  try {
    names = readdirSync(directory, "latin1");
  } catch {
    return null;
  }
  const found = { messages: 0, bytes: 0, since: null as number | null, odd: 0 };
  for (const name of names) {
    const stat = lstatSync(fsPath(`${directory}/${name}`), { throwIfNoEntry: false });
    // Taken in just now.
    if (!stat) continue;
    const ending = /^[0-9a-f.]{1,100}\.(msg|tmp)$/.exec(name)?.[1];
    if (!stat.isFile() || ending === undefined) found.odd++;
    else if (ending === "msg") {
      found.messages++;
      found.bytes += stat.size;
      // Its owner sets the mtime as he likes, but not this.
      found.since = Math.min(found.since ?? stat.ctimeMs, stat.ctimeMs);
    }
  }
  return found;
}

/** With the daemons up a message is taken in at once, and one that nobody asked for within 25 minutes (INTERNALS.md). */
const USUAL_MS = 1800_000;

/** True when what waits has waited so long that something keeps it there. */
export function isStuck({ since }: DropsWaiting, now: number): boolean {
  return since !== null && now - since > USUAL_MS;
}
