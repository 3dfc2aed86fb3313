/** Descriptors 0 and 1 as the ends of a conversation, for the programs. */

import type { Ends } from "../net/connection.ts";

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
