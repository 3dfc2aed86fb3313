/** What the POP3 programs say, in qmail's words (qmail-popup(8), qmail-pop3d(8)); ours are at the end. */

function error(text: string): string {
  return `-ERR ${text}\r\n`;
}

export const okay = (text = "") => `+OK ${text}\r\n`;
/** The timestamp is what APOP digests. */
export const greeting = (timestamp: string) => okay(timestamp);

export const syntax = () => error("syntax error");
export const wantUser = () => error("USER first");
export const wantLogin = () => error("authorization first");
export const refused = () => error("authorization failed");
export const crashed = () => error("aack, child crashed");
export const popupUsage = () => error("usage: popup hostname subprogram");

export const unimplemented = () => error("unimplemented");
export const deleted = () => error("already deleted");
export const noZero = () => error("messages are counted from 1");
export const notThatMany = () => error("not that many messages");
export const cannotOpen = () => error("unable to open that message");
export const cannotUnlink = () => error("unable to unlink all deleted messages");
export const noMaildir = () => error("this user has no $HOME/Maildir");
export const cannotScan = () => error("unable to scan $HOME/Maildir");

/** A listing and its end (RFC 1939, section 3). */
export const lines = (all: readonly string[]) => [okay(), ...all, ".\r\n"].join("");

/** RFC 2449. */
export const capabilities = (names: readonly string[]) => lines(names.map((name) => `${name}\r\n`));

/** RFC 2595. */
export const beginTls = () => okay("Begin TLS negotiation");
export const noTls = () => error("TLS is not available");
export const tlsAlready = () => error("TLS is there already");
export const tlsFirst = () => error("STLS first");

/** RFC 3206: it is not the password. */
export const temporary = () => error("[SYS/TEMP] unable to check your password now");
export const tooManyFailures = () => error("[AUTH] too many failures, try again later");
export const tooManyErrors = () => error("too many errors");
export const busy = () => error("[SYS/TEMP] too many connections, try again later");
export const idle = () => error("idle for too long");
export const goingDown = () => error("[SYS/TEMP] going down, try again later");
