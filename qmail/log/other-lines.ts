/**
 * The lines of everybody but qmail-send that qmail logs hold: our doors (door-lines.ts), tcpserver, rblsmtpd,
 * qmail-smtpd with the patches that are about, vpopmail, spamdyke, and the daemons' last words.
 * What each means is a row of a table; a line in no row is unknown.
 */

import { parseDoorLine } from "./door-lines.ts";

export type Event =
  | "connected"
  | "ended"
  | "busy"
  | "denied"
  | "accepted"
  | "refused"
  | "login"
  | "login-failed"
  | "note"
  | "trouble";

export interface OtherLine {
  readonly program: string;
  readonly event: Event;
  readonly ip?: string;
  readonly from?: string;
  /** One recipient, or as many as were named, with a comma between two. */
  readonly to?: string;
  /** Why it was refused, or what the trouble is. */
  readonly reason?: string;
  readonly user?: string;
  /** The protocol of TLS. */
  readonly tls?: string;
  readonly bytes?: number;
  /** Number of the session or process. */
  readonly session?: string;
  /** Long-term number of the message in the queue (qmail-log(5)). */
  readonly qp?: number;
  readonly msgid?: string;
}

type Row = readonly [pattern: RegExp, program: string, event: Event];

/** Groups named ip, from, to, reason, user and session become fields. */
const ROWS: readonly Row[] = [
  // ucspi-tcp's tcpserver, and ucspi-ssl's sslserver (tcpserver(1)): ok PID HOST:IP:PORT HOST:IP:INFO:PORT.
  [/^(?:tcp|ssl)server: status: \d+\/\d+$/, "tcpserver", "note"],
  [/^(?:tcp|ssl)server: pid (?<session>\d+) from \[?(?<ip>[0-9a-fA-F.:]+)/, "tcpserver", "note"],
  [
    /^(?:tcp|ssl)server: ok (?<session>\d+) \S+ [^: ]*:(?:::ffff:)?(?<ip>[0-9a-fA-F.:]+?):[^:]*:\d+$/,
    "tcpserver",
    "connected",
  ],
  [/^(?:tcp|ssl)server: ok (?<session>\d+)/, "tcpserver", "connected"],
  [
    /^(?:tcp|ssl)server: deny (?<session>\d+) \S+ [^: ]*:(?:::ffff:)?(?<ip>[0-9a-fA-F.:]+?):[^:]*:\d+$/,
    "tcpserver",
    "denied",
  ],
  [/^(?:tcp|ssl)server: deny (?<session>\d+)/, "tcpserver", "denied"],
  [/^(?:tcp|ssl)server: end (?<session>\d+) status \d+$/, "tcpserver", "ended"],
  [
    /^(?:tcp|ssl)server: (?:ssl|tls|cafile|ccafile|cadir|cert|key|dhfile|param|ciphers) /,
    "tcpserver",
    "note",
  ],
  [/^(?:tcp|ssl)server: (?<reason>(?:fatal|warning|error|drop).*)$/, "tcpserver", "trouble"],
  // rblsmtpd(1).
  [/^rblsmtpd: (?<ip>\S+) pid (?<session>\d+):? (?<reason>.*)$/, "rblsmtpd", "refused"],
  [/^rblsmtpd: (?<reason>.*)$/, "rblsmtpd", "trouble"],
  // chkuser, as its logging patch writes it.
  [
    /^CHKUSER (?<reason>(?:rejected|intrusion)[^:]*): from <(?<from>[^>:]*)[^>]*> remote <[^>]*?(?:(?<ip>[0-9.]+)|unknown)?> rcpt <(?<to>[^>]*)>/,
    "chkuser",
    "refused",
  ],
  [/^CHKUSER (?<reason>rejected[^:]*|intrusion[^:]*)/, "chkuser", "refused"],
  [/^CHKUSER (?:accepted|relaying)/, "chkuser", "note"],
  // spamdyke(8): a decision per recipient.
  [
    /^(?:spamdyke\[\d+\]: )?(?<reason>DENIED_[A-Z_]+|FILTER_[A-Z_]+) from: (?<from>\S+) to: (?<to>\S+) origin_ip: (?<ip>\S+)/,
    "spamdyke",
    "refused",
  ],
  [
    /^(?:spamdyke\[\d+\]: )?(?:ALLOWED[A-Z_]*) from: (?<from>\S+) to: (?<to>\S+) origin_ip: (?<ip>\S+)/,
    "spamdyke",
    "note",
  ],
  [/^(?:spamdyke\[\d+\]: )?TIMEOUT from: .*?origin_ip: (?<ip>\S+)/, "spamdyke", "ended"],
  [/^spamdyke\[\d+\]: (?<reason>.*)$/, "spamdyke", "trouble"],
  // qmail-smtpd with one of the logging patches: badmailfrom, rcpthosts, goodrcptto, netqmail's qmail-smtpd-log.
  [
    /^qmail-smtpd: (?:pid )?(?<session>\d+)?:? ?(?:from|accept|mail|rcpt|queued|qp)\b.*?(?:qp (?<qp>\d+))?$/i,
    "qmail-smtpd",
    "accepted",
  ],
  [
    /^qmail-smtpd: (?<reason>[^()]*(?:reject|refus|den(?:y|ied)|bad ?mail|bad ?rcpt|badhelo|not (?:in|allowed)|invalid|unknown|spam|virus|block)[^()]*)(?:\((?<ip>[0-9a-fA-F.:]+)\))?/i,
    "qmail-smtpd",
    "refused",
  ],
  [/^qmail-smtpd: (?<reason>(?:fatal|alert|oops|unable).*)$/, "qmail-smtpd", "trouble"],
  [/^qmail-smtpd(?:\[\d+\])?: /, "qmail-smtpd", "note"],
  [
    /^(?<reason>badmailfrom|badmailto|badrcptto|badhelo|rcpthosts|greylist|goodrcptto|validrcptto|RCPTCHECK|SPF)\b.*?(?<ip>\d+\.\d+\.\d+\.\d+)?/,
    "qmail-smtpd",
    "refused",
  ],
  [/^(?:policy_check|simscan|simscan:|clamdscan|qmail-scanner)[:[ ]/, "filter", "note"],
  // vpopmail.
  [/^vchkpw(?:-\w+)?: (?:\([^)]*\) )?login success (?<user>\S+?):(?<ip>\S*)/, "vchkpw", "login"],
  [
    /^vchkpw(?:-\w+)?: (?:password fail|vpopmail user not found|null password|failed)[^:@]*?(?<user>\S+@\S+?|\S+?)?:(?<ip>[0-9a-fA-F.:]+)$/,
    "vchkpw",
    "login-failed",
  ],
  [/^vchkpw(?:-\w+)?: /, "vchkpw", "note"],
  [/^vdelivermail: (?<reason>.*)$/, "vdelivermail", "trouble"],
  [
    /^(?:authlib|authdaemon\w*|imapd|pop3d)(?:-\w+)?: .*LOGIN FAILED.*?ip=\[(?<ip>[^\]]+)\]/i,
    "imap",
    "login-failed",
  ],
  [/^(?:imapd|pop3d|qmail-pop3d|qmail-popup)(?:-\w+)?: /, "imap", "note"],
  // Daemons of the family.
  [
    /^(?<reason>(?:qmail-\w+|multilog|supervise|svscan|readproctitle|splogger|checkpassword): (?:fatal|alert|warning|error).*)$/,
    "daemon",
    "trouble",
  ],
  [/^(?:qmail-\w+|multilog|supervise|svscan): /, "daemon", "note"],
  // indimail's.
  [/^(?<reason>(?:warn|crit): .*)$/, "daemon", "trouble"],
  [/^(?:info: [\w-]+: |bounce processor sender |double bounce: discarding )/, "daemon", "note"],
  [/^(?:cannot start: |HELP! |Oh no!)/i, "daemon", "trouble"],
];

/** What `text`, a line without its stamp, means; null when nobody knows. `tag`: syslog's name of the program. */
export function classify(text: string, tag = ""): OtherLine | null {
  const door = parseDoorLine(text);
  if (door) return door;
  for (const candidate of tag === "" ? [text] : [text, `${tag}: ${text}`]) {
    for (const [pattern, program, event] of ROWS) {
      const match = pattern.exec(candidate);
      if (match) return fromGroups(program, event, match.groups ?? {});
    }
  }
  return null;
}

function fromGroups(program: string, event: Event, groups: Record<string, string>): OtherLine {
  const { qp, ...texts } = groups;
  const given = Object.entries(texts).filter(([, value]) => value !== undefined && value !== "");
  return {
    program,
    event,
    ...Object.fromEntries(given),
    ...(qp === undefined ? {} : { qp: Number(qp) }),
  };
}
