/** Delivery reports: three outcomes and a text, as qmail-send reads them (C qmail: spawn.c, report). */

/** K: delivered. Z: try again later. D: never. */
export type Status = "K" | "Z" | "D";

export interface Report {
  readonly status: Status;
  /** Byte string; may hold newlines. Goes to the log and, for D, into the bounce. */
  readonly text: string;
}
