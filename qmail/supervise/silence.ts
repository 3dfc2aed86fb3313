/** Standard output and error of a daemon whose reader goes away. */

import { closeSync, openSync } from "node:fs";

/** From now on what is written to `fd` goes nowhere. */
export function silence(fd: 1 | 2): void {
  closeSync(fd);
  // The lowest free number is taken: closed alone, the next file that is opened would get what is written.
  openSync("/dev/null", "r+");
}
