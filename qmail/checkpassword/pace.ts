/**
 * When a failed login is answered: at a fixed time from its beginning, whatever it took to find out. To look a password
 * up takes 5 to 100 ms, by who it is and how his is kept; an answer at once would say which names are users.
 */

/** More than the longest usual check; where one takes longer, the answer waits for a multiple of it. */
export const FAILED_MS = 500;

/** A clock in milliseconds that nobody sets, and how to wait by it. */
export interface Pace {
  now(): number;
  sleep(ms: number): Promise<void>;
}

/** The one of this machine. */
export const PACE: Pace = {
  now: () => performance.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};

/** Resolves when an attempt that began at `began` may be said to have failed. */
export function failedAnswer(began: number, pace: Pace = PACE): Promise<void> {
  const elapsed = pace.now() - began;
  return pace.sleep(Math.max(1, Math.ceil(elapsed / FAILED_MS)) * FAILED_MS - elapsed);
}
