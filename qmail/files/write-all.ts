/** Writing to a pipe that is to take everything. */

import { writeSync } from "node:fs";

/** So long a full pipe is left to its reader. */
const FULL_MS = 2;

const pause = new Int32Array(new SharedArrayBuffer(4));

/**
 * Writes all of `bytes` to `fd`, and waits while it is full: also where it does not block, as every pipe that
 * another process has as its standard error, once a Node process has written there.
 */
export function writeAll(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(pause, 0, 0, FULL_MS);
    }
  }
}
