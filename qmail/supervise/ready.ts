/**
 * How a daemon tells the supervisor that it is ready.
 *
 * Environment and extra descriptors do not survive `exec env - ... qmail-start` in rc, descriptor 0
 * does. The supervisor gives every service a FIFO as standard input, open for both directions; a daemon
 * that finds one there writes a line to it. Started by hand, standard input is no FIFO, or one that
 * can only be read, and nothing is written.
 */

import { fstatSync, writeSync } from "node:fs";

export const READY_LINE = "ready\n";

/** Tells the supervisor, if there is one, that this daemon now does its work. */
export function sayReady(): void {
  try {
    if (fstatSync(0).isFIFO()) writeSync(0, READY_LINE);
  } catch {
    // An ordinary pipe, which cannot be written here: nobody wants to know.
  }
}
