/** Delivery reports: three outcomes and a text, as qmail-send reads them (C qmail: spawn.c, report). */

/** K: delivered. Z: try again later. D: never. */
export type Status = "K" | "Z" | "D";

export interface Report {
  readonly status: Status;
  /** Byte string; may hold newlines. Goes to the log and, for D, into the bounce. */
  readonly text: string;
}

/** What a worker reports. */
export interface WorkReport extends Report {
  /** Z: what of the delivery is done; the next try is told it, so as not to do that again. Without NUL. */
  readonly progress?: string;
}
