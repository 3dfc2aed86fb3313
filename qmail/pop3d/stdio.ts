/** Descriptors 0 and 1 as the ends of a conversation, for the programs. */

import type { Ends } from "../net/connection.ts";

/** qmail's programs give up after so long without a sign of life. */
export const IDLE_MS = 1_200_000;

/** `leave` is called once when the conversation is over, whether or not its last word went out. */
export function stdioEnds(leave: () => void): Ends {
  const { stdin, stdout } = process;
  return {
    input: stdin,
    output: stdout,
    finish: () => void stdout.end(leave),
    destroy: leave,
  };
}
