/** The control files of qmail-smtpd, read at its start and on SIGHUP (qmail-smtpd(8)). */

import { join } from "node:path";
import { CdbFile } from "../cdb/cdb.ts";
import { RELAY_CONTROL } from "../checkpassword/relay.ts";
import { ConstSet } from "../control/constmap.ts";
import { Control } from "../control/control.ts";
import { type Limits, readLimits } from "./limits.ts";
import { RcptHosts } from "./rcpthosts.ts";
import { Senders } from "./senders.ts";

export interface SmtpdControls {
  /** Our name; null when there is no control/me. */
  readonly me: string | null;
  readonly greeting: string;
  /** What `[ip]` of ours is replaced by; null: by nothing. */
  readonly localiphost: string | null;
  readonly limits: Limits;
  /** Bytes of the largest message; 0 for no limit. */
  readonly databytes: number;
  readonly badmailfrom: ConstSet;
  readonly badrcptto: ConstSet;
  readonly rcpthosts: RcptHosts;
  /** Seconds for which reading mail opens relaying; 0: it does not. */
  readonly popBeforeSmtp: number;
  /** What stands behind the @ of the Message-IDs that we make. */
  readonly idhost: string;
  /** Whose addresses users may send from. */
  readonly senders: Senders;
}

/**
 * The controls of the installation in `home`; DATABYTES and MAXRCPT of `env` go before their files. Throws when
 * there is no greeting and no me, or a file cannot be read.
 */
export function readSmtpdControls(home: string, env: NodeJS.ProcessEnv): SmtpdControls {
  const control = new Control(home);
  const me = control.line("me");
  const greeting = control.line("smtpgreeting") ?? me;
  if (greeting === null) throw new Error('cannot read controls: "control/me" is missing');
  const databytes = databytesOf(env) ?? control.int("databytes", 0);
  return {
    me,
    greeting,
    localiphost: control.line("localiphost") ?? me,
    limits: readLimits(control, { env, databytes }),
    databytes,
    badmailfrom: new ConstSet(control.lines("badmailfrom") ?? []),
    badrcptto: new ConstSet(control.lines("badrcptto") ?? []),
    popBeforeSmtp: control.int(RELAY_CONTROL, 0),
    idhost: control.line("idhost") ?? me ?? "idhost",
    senders: new Senders({
      domains: control.lines("locals", true) ?? [],
      lines: control.lines("submissionsenders") ?? [],
    }),
    rcpthosts: new RcptHosts(
      control.lines("rcpthosts"),
      new CdbFile(join(home, "control/morercpthosts.cdb")),
    ),
  };
}

/** $DATABYTES as C qmail scans it: the digits in front, 0 when there are none; null: it is not set. */
export function databytesOf({ DATABYTES }: NodeJS.ProcessEnv): number | null {
  return DATABYTES === undefined ? null : Number(/^\d*/.exec(DATABYTES)?.[0] ?? 0);
}

/** True when the address, or `@` and its domain, is in a list like badmailfrom. */
export function isListed(list: ConstSet, address: string): boolean {
  if (list.has(address)) return true;
  const at = address.lastIndexOf("@");
  return at >= 0 && list.has(address.slice(at));
}
