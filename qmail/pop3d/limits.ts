/** How much patience a client of POP3 finds, from control files (docs/reference/limits.md). */

import type { Control } from "../control/control.ts";

/** A timer of less breaks the standard (RFC 1939, section 3). */
const IDLE_MIN = 600;
/** The longest that a timer can wait. */
const TIMER_MAX_MS = 2_147_483_000;
/** Errors when places are short. */
const SHORT_ERRORS = 1;

export interface Pop3Limits {
  /** Milliseconds until somebody must have logged in. */
  readonly loginMs: number;
  /** Milliseconds for a command, behind the login. */
  readonly idleMs: number;
  /** After so many errors one behind the other the session ends. */
  readonly maxErrors: number;
}

export function readPop3Limits(control: Control): Pop3Limits {
  const ms = (seconds: number) => Math.min(seconds * 1000, TIMER_MAX_MS);
  return {
    loginMs: ms(Math.max(1, control.int("timeoutpop3login", 120))),
    idleMs: ms(Math.max(IDLE_MIN, control.int("timeoutpop3d", 1200))),
    maxErrors: Math.max(1, control.int("maxerrors", 20)),
  };
}

/** The same while places are short. Who has logged in is let alone. */
export function hurriedPop3(limits: Pop3Limits, mostMs: number): Pop3Limits {
  const loginMs = Math.min(limits.loginMs, mostMs);
  return { ...limits, loginMs, maxErrors: SHORT_ERRORS };
}
