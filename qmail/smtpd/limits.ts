/** How much patience a client of SMTP, QMTP or QMQP finds, from control files (docs/reference/limits.md). */

import type { Control } from "../control/control.ts";
import { HURRY_MS } from "../net/deadline.ts";

/** The longest that a timer can wait. */
const TIMER_MAX_MS = 2_147_483_000;
/** Errors and commands that bring nothing forward, of which a client has so few when places are short. */
const SHORT = { errors: 1, junk: 10 } as const;
/** Bytes that must stay free where there is no limit for a message. */
const MINFREE = 16 << 20;

export interface Limits {
  /** Milliseconds for a command, or a piece of a message. */
  readonly commandMs: number;
  /** Milliseconds for a session; a message under way may be sent to its end. */
  readonly sessionMs: number;
  /** Bytes in a second that a message must come with; what is faster earns no more than `commandMs`. */
  readonly minRate: number;
  /** After so many errors without a message the session ends. */
  readonly maxErrors: number;
  /** After so many each costs a second. */
  readonly slowErrors: number;
  /** After so many commands without a message that bring nothing forward each is an error. */
  readonly maxJunk: number;
  /** Recipients of a message, 0 for no limit; the rest must come in another. */
  readonly maxRcpt: number;
  /** Bytes and inodes that must be free in the queue's filesystem; 0: nobody looks. */
  readonly minFree: number;
  readonly minInodes: number;
}

/** MAXRCPT of `env` goes before its file. */
export function readLimits(
  control: Control,
  { env, databytes }: { readonly env: NodeJS.ProcessEnv; readonly databytes: number },
): Limits {
  const ms = (name: string, fallback: number) =>
    Math.min(Math.max(1, control.int(name, fallback)) * 1000, TIMER_MAX_MS);
  const minFree = databytes > 0 ? Math.ceil(databytes * 1.5) : MINFREE;
  return {
    commandMs: ms("timeoutsmtpd", 1200),
    sessionMs: ms("timeoutsession", 3600),
    minRate: Math.max(1, control.int("minrate", 500)),
    maxErrors: Math.max(1, control.int("maxerrors", 20)),
    slowErrors: control.int("slowerrors", 10),
    maxJunk: control.int("maxjunk", 100),
    maxRcpt: maxRcptOf(env) ?? control.int("maxrcpt", 1000),
    minFree: control.int("minfree", minFree),
    minInodes: control.int("mininodes", 1000),
  };
}

/** As $DATABYTES is scanned; null: it is not set. */
export function maxRcptOf({ MAXRCPT }: NodeJS.ProcessEnv): number | null {
  return MAXRCPT === undefined ? null : Number(/^\d*/.exec(MAXRCPT)?.[0] ?? 0);
}

/** The same while places are short. */
export function hurried(limits: Limits): Limits {
  return {
    ...limits,
    commandMs: Math.min(limits.commandMs, HURRY_MS),
    maxErrors: SHORT.errors,
    slowErrors: 0,
    maxJunk: Math.min(limits.maxJunk, SHORT.junk),
  };
}
