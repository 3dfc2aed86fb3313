/** When a message is tried again: the quadratic schedule of qmail-send(8). Times are seconds since 1970. */

import type { Channel } from "./log.ts";

/** A first step of 10 or 20: local trouble is retried after 100 s, remote trouble after 400 s. */
const SKIP: Readonly<Record<Channel, number>> = { local: 10, remote: 20 };

/** The time of the next try of a message born at `birth` on `channel`, tried at `now`. */
export function nextRetry(birth: number, channel: Channel, now: number): number {
  // Born while the clock was ahead, it is as good as new.
  const born = Math.min(birth, now);
  const n = Math.floor(Math.sqrt(now - born)) + SKIP[channel];
  return born + n * n;
}
