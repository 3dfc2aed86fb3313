/** What has been tried for a message so far, and why it failed. */

import type { MessId } from "../../qmail/queue/fmtqfn.ts";

export interface Attempts {
  /** How often the recipient of the last error was tried; 0 when nothing has failed. */
  readonly tries: number;
  /** False when the log does not go back to the message's beginning: there may have been more. */
  readonly exact: boolean;
  /** What was said when it last failed, as the log has it; null when it did not, or nobody knows. */
  readonly error: string | null;
  /** Whose delivery that was; empty without an error. */
  readonly recipient: string;
  /** Milliseconds since 1970; NaN without an error. */
  readonly time: number;
}

/** Who knows what has been tried. */
export interface AttemptSource {
  of(id: MessId): Attempts;
}

/** Nothing is known. */
export const UNKNOWN: Attempts = {
  tries: 0,
  exact: false,
  error: null,
  recipient: "",
  time: Number.NaN,
};
