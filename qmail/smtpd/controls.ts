/** The control files of qmail-smtpd, read at its start and on SIGHUP (qmail-smtpd(8)). */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConstSet } from "../control/constmap.ts";
import { Control } from "../control/control.ts";

export interface SmtpdControls {
  /** Our name. */
  readonly me: string;
  readonly greeting: string;
  /** What `[ip]` of ours is replaced by. */
  readonly localiphost: string;
  /** Seconds that a client may keep us waiting. */
  readonly timeout: number;
  /** Bytes of the largest message; 0 for no limit. */
  readonly databytes: number;
  readonly badmailfrom: ConstSet;
  /** null: there is no rcpthosts, so no recipient is taken. */
  readonly rcpthosts: ConstSet | null;
  /** There is a morercpthosts.cdb, which is not supported yet. */
  readonly morercpthosts: boolean;
}

/** The controls of the installation in `home`. Throws when control/me is missing or a file cannot be read. */
export function readSmtpdControls(home: string): SmtpdControls {
  const control = new Control(home);
  const me = control.line("me");
  if (!me) throw new Error("cannot read controls: control/me is missing");
  const rcpthosts = control.lines("rcpthosts");
  return {
    me,
    greeting: control.line("smtpgreeting") ?? me,
    localiphost: control.line("localiphost") ?? me,
    timeout: Math.max(1, control.int("timeoutsmtpd", 1200)),
    databytes: control.int("databytes", 0),
    badmailfrom: new ConstSet(control.lines("badmailfrom") ?? []),
    rcpthosts: rcpthosts === null ? null : new ConstSet(rcpthosts),
    morercpthosts: existsSync(join(home, "control/morercpthosts.cdb")),
  };
}

/** True when the sender, or `@` and its domain, is in badmailfrom. */
export function isBadMailFrom({ badmailfrom }: SmtpdControls, sender: string): boolean {
  if (badmailfrom.has(sender)) return true;
  const at = sender.lastIndexOf("@");
  return at >= 0 && badmailfrom.has(sender.slice(at));
}

/** What rcpthosts says of a recipient; `unknown` when a file that we cannot read yet might say yes. */
export function recipientVerdict(
  { rcpthosts, morercpthosts }: SmtpdControls,
  recipient: string,
): "allowed" | "refused" | "unknown" {
  if (rcpthosts) {
    const at = recipient.lastIndexOf("@");
    // Without a domain it is ours.
    if (at < 0) return "allowed";
    const domain = recipient.slice(at + 1);
    for (let from = 0; from >= 0; from = domain.indexOf(".", from + 1)) {
      if (rcpthosts.has(domain.slice(from))) return "allowed";
    }
  }
  return rcpthosts && morercpthosts ? "unknown" : "refused";
}
