/** What check and repair say of things that need no repair. */

import type { Leftovers } from "../../qmail/queue/repair/examine.ts";

/** One line for each thing that is left and removed by the daemons. */
export function describeLeftovers({ unfinished, old, orphans, nameless }: Leftovers): string[] {
  const lines: string[] = [];
  if (unfinished > 0) {
    const aged = old > 0 ? `, ${old} of them older: removed when qmail-send cleans up` : "";
    lines.push(
      `${count(unfinished, "message")} without envelope: being written or left by a crash; removed at the age of 36 hours${aged}`,
    );
  }
  if (orphans.length > 0) {
    const first = orphans.slice(0, 3).join(", ");
    lines.push(
      `${count(orphans.length, "file")} of messages that are gone (${first}${orphans.length > 3 ? ", ..." : ""}): removed when the daemons clean up`,
    );
  }
  if (nameless > 0) {
    lines.push(
      `${count(nameless, "file")} without a name yet: being written or left by a crash; removed when the daemons clean up`,
    );
  }
  return lines;
}

/** "1 message", "2 messages". */
export function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}
