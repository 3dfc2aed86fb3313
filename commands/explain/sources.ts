/** Where a decision stands written: file and line, for who wants to change it. */

import { join } from "node:path";
import { lowerAscii } from "../../qmail/control/constmap.ts";
import { textOf } from "../../qmail/control/control.ts";
import { shellWord } from "./shell-word.ts";

/** The line of control/`file` with entry `key`; of equal keys before a colon the last one counts. */
export function controlSource(home: string, file: string, key: string): string {
  const text = textOf(join(home, "control", file));
  // Without locals, me is the one local domain.
  if (text === null) return "control/me:1";
  const lines = text.split("\n").map((line) => lowerAscii(line.replace(/[ \t]+$/, "")));
  const wanted = lowerAscii(key);
  const at =
    file === "locals"
      ? lines.indexOf(wanted)
      : lines.findLastIndex((line) => line.startsWith(`${wanted}:`));
  return `control/${file}:${at + 1}`;
}

/** The line of users/assign that begins with `key` (`=joe`, `+joe-`); null when none does. */
export function assignSource(assign: string, key: string): string | null {
  const at = assign.split("\n").findIndex((line) => {
    const head = line.slice(0, line.indexOf(":"));
    // Everything that is no wildcard is a simple assignment.
    return lowerAscii(head.startsWith("+") ? head : `=${head.slice(1)}`) === key;
  });
  return at < 0 ? null : `users/assign:${at + 1}`;
}

export interface DefaultDelivery {
  readonly text: string;
  /** Line of rc; null when it is qmail-start's own default. */
  readonly line: number | null;
}

/** qmail-start's, when it is given none. */
const BUILT_IN: DefaultDelivery = { text: "./Mailbox", line: null };

/** The default delivery that the script `rc` gives to qmail-start; null when only a shell could tell. */
export function defaultDelivery(rc: string | null): DefaultDelivery | null {
  const call = rc === null ? null : /^[^#\n]*\bqmail-start(?=\s|$)/m.exec(rc);
  if (rc === null || !call) return null;
  const end = call.index + call[0].length;
  const word = shellWord(rc.slice(end));
  if (word === "none") return BUILT_IN;
  if (word === "unknown") return null;
  const before = rc.slice(0, end + word.start);
  return { text: word.text, line: before.split("\n").length };
}
