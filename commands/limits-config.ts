/** The part of the config about the patience of the doors, and the control files that it becomes. */

import { z } from "zod";
import { count } from "./config-checks.ts";

/** What one client may ask of SMTP, submission, QMTP, QMQP and POP3 (docs/reference/limits.md). */
export interface Limits {
  /** Bytes of the largest message, shown as SIZE; 0: no limit; control/databytes. Default: 52428800 (50 MiB). */
  messageBytes?: number;
  /** Recipients of a message, the rest must come in another; 0: no limit; control/maxrcpt. Default: 1000. */
  recipients?: number;
  /** Seconds for a command, or for a piece of a message; control/timeoutsmtpd. Default: 300. */
  commandSeconds?: number;
  /** Seconds for a session; a message under way is taken to its end; control/timeoutsession. Default: 3600. */
  sessionSeconds?: number;
  /** Bytes in a second with which a message must come at the least; control/minrate. Default: 500. */
  bytesPerSecond?: number;
  /** Errors without a message that end a session; control/maxerrors. Default: 20. */
  errors?: number;
  /** Errors behind which each costs a second; control/slowerrors. Default: 10. */
  slowErrors?: number;
  /** Commands without a message that bring nothing forward; more are errors; control/maxjunk. Default: 100. */
  junk?: number;
  /** Bytes that must be free where the queue is; 0: nobody looks; control/minfree. Default: 1.5 times `messageBytes`. */
  freeBytes?: number;
  /** Inodes that must be free there; 0: nobody looks; control/mininodes. Default: 1000. */
  freeInodes?: number;
  /** Seconds until a POP3 client must have logged in; control/timeoutpop3login. Default: 120. */
  pop3LoginSeconds?: number;
  /** Seconds that a POP3 user may be idle, 600 at the least; control/timeoutpop3d. Default: 1200. */
  pop3IdleSeconds?: number;
}

/** Each field's control file. */
const FILES: Readonly<Record<keyof Limits, string>> = {
  messageBytes: "databytes",
  recipients: "maxrcpt",
  commandSeconds: "timeoutsmtpd",
  sessionSeconds: "timeoutsession",
  bytesPerSecond: "minrate",
  errors: "maxerrors",
  slowErrors: "slowerrors",
  junk: "maxjunk",
  freeBytes: "minfree",
  freeInodes: "mininodes",
  pop3LoginSeconds: "timeoutpop3login",
  pop3IdleSeconds: "timeoutpop3d",
};

/** Where a missing file means what it means to C qmail (no limit, 20 minutes) the file is always written. */
const DEFAULTS = { messageBytes: 50 << 20, commandSeconds: 300 } as const;

const BYTES = "a number of bytes, 0 or more";
const SECONDS = "seconds, 1 or more";
const A_NUMBER = "a number, 0 or more";

function orNone(allowed: string) {
  return z.number({ error: allowed }).int({ error: allowed }).min(0, { error: allowed });
}

/** The check of `limits`. */
export const limitsSchema = z.strictObject(
  {
    messageBytes: orNone(BYTES).optional(),
    recipients: orNone(A_NUMBER).optional(),
    commandSeconds: count(SECONDS).optional(),
    sessionSeconds: count(SECONDS).optional(),
    bytesPerSecond: count("a number of bytes, 1 or more").optional(),
    errors: count("a number, 1 or more").optional(),
    slowErrors: orNone(A_NUMBER).optional(),
    junk: orNone(A_NUMBER).optional(),
    freeBytes: orNone(BYTES).optional(),
    freeInodes: orNone(A_NUMBER).optional(),
    pop3LoginSeconds: count(SECONDS).optional(),
    pop3IdleSeconds: count(SECONDS)
      .min(600, { error: "seconds, 600 or more: the standard says so" })
      .optional(),
  },
  { error: `the fields ${Object.keys(FILES).join(", ")}` },
);

/** The control files of `limits`. */
export function limitsControls(limits: Limits = {}): Record<string, string[]> {
  const all = Object.entries({ ...DEFAULTS, ...limits });
  return Object.fromEntries(
    all.map(([field, value]) => [FILES[field as keyof Limits], [String(value)]]),
  );
}
