/** What qmail-send's log says of one message, from its beginning. */

import { StampReader } from "../../qmail/log/stamp.ts";
import type { MessId } from "../../qmail/queue/fmtqfn.ts";
import { parseLogLine } from "../../qmail/send/log.ts";
import { type Limits, linesBackwards } from "../log/backwards.ts";

export interface Event {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly text: string;
}

export interface History {
  readonly events: readonly Event[];
  /** False when the log does not go back to its beginning, or there is too much of it. */
  readonly whole: boolean;
}

/** A message with more lines than this has many recipients: the last ones say how it stands. */
const EVENTS_MAX = 10_000;

/** The lines about the message `id` in the log `directory`, oldest first. Throws when it cannot be read. */
export function history(
  directory: string,
  id: MessId,
  { limits, now }: { limits: Limits; now: number },
): History {
  const events: Event[] = [];
  const reports = new Map<number, Event>();
  const stamp = new StampReader(now);
  let whole = false;
  const line = (bytes: Buffer, from: number, to: number): boolean => {
    stamp.read(bytes, from, to);
    const text = bytes.toString("latin1", stamp.at, to);
    if (!text.includes(id) && !/^(delivery |status: exiting)/.test(text)) return true;
    const parsed = parseLogLine(text);
    const event = { time: stamp.ms, text };
    if (parsed.type === "delivery") reports.set(parsed.delivery, event);
    else if (parsed.type === "exiting") reports.clear();
    else if (parsed.type === "starting") {
      const report = reports.get(parsed.delivery);
      reports.delete(parsed.delivery);
      if (parsed.id === id) events.push(...(report ? [report] : []), event);
    } else if ("id" in parsed && parsed.id === id) {
      events.push(event);
      whole = parsed.type === "new";
    }
    return !whole && events.length < EVENTS_MAX;
  };
  linesBackwards(directory, limits, line);
  events.reverse();
  // A report was found with the beginning of its delivery, which may lie before others' events.
  return { events: events.sort((a, b) => a.time - b.time), whole };
}
