/** What a trace is made of. */

export interface TraceLine {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly text: string;
}

/** A number that comes again: who is meant by it is told by the time. */
export interface Moment {
  readonly qp: number;
  readonly time: number;
}

/** A message of qmail-send's log. */
export interface Traced {
  readonly id: string;
  /** NaN when the log begins after its arrival. */
  readonly qp: number;
  readonly from: number;
  readonly sender: string;
  readonly recipients: Set<string>;
  /** Bounces and forwards of it. */
  readonly children: Moment[];
  readonly lines: TraceLine[];
}

/** Door lines that belong together: those of a session, or a line without one. */
export interface Visit {
  readonly session: string;
  /** Of the messages that it brought. */
  readonly qps: Moment[];
  /** Somebody asked for it, not only for a message that it brought. */
  asked: boolean;
  readonly lines: TraceLine[];
}

/** Lines kept of a message or a visit, at most. */
export const LINES_MAX = 2000;
/** qps come again: what speaks of one is within so much of its message's arrival. */
export const NEAR_MS = 120_000;

/** True when `moment` is about one of `all`. */
export function near(all: Iterable<Moment>, { qp, time }: Moment): boolean {
  for (const each of all) if (each.qp === qp && Math.abs(each.time - time) < NEAR_MS) return true;
  return false;
}

/** Adds a line, as long as there is room. */
export function note(lines: TraceLine[], time: number, text: string): void {
  if (lines.length < LINES_MAX) lines.push({ time, text });
}
