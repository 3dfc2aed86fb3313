/** What the commands say of drop, where messages of local users wait to be taken in. */

import { type DropsWaiting, dropsWaiting, isStuck } from "../../qmail/queue/drops-waiting.ts";
import { duration } from "../time.ts";
import { count } from "./leftovers.ts";

export interface DropReport {
  /** Null where there is no drop, or none that we may look into. */
  readonly waiting: DropsWaiting | null;
  /** A message waits longer than any does while the daemons are up. */
  readonly stuck: boolean;
  /** For a person; none when nothing waits. */
  readonly lines: readonly string[];
}

/** How drop of the mail server in `home` stands at `now`. */
export function reportDrops(home: string, now: number): DropReport {
  const waiting = dropsWaiting(home);
  if (!waiting) return { waiting, stuck: false, lines: [] };
  return { waiting, stuck: isStuck(waiting, now), lines: describe(waiting, now) };
}

function describe({ messages, since, odd }: DropsWaiting, now: number): string[] {
  const lines: string[] = [];
  if (messages > 0 && since !== null) {
    const age = duration(Math.max(0, Math.floor((now - since) / 1000)));
    lines.push(`${count(messages, "message")} in drop, for ${age}: taken in by qmail-send`);
  }
  if (odd > 0) {
    lines.push(`${count(odd, "file")} in drop that qmail-queue did not make: removed when old`);
  }
  return lines;
}
