/** The lines of the POP3 service's log: one function each. */

/** Values are printable and without spaces, so `key=value` words can be split anywhere. */
function safe(text: string): string {
  return text.replace(/[^!-~]/g, "_");
}

function line(session: number, event: string, fields: Readonly<Record<string, string>>): string {
  const words = Object.entries(fields).map(([key, value]) => `${key}=${safe(value)}`);
  return `pop3d ${session}: ${[event, ...words].join(" ")}\n`;
}

/** Who, from where, and how hidden from others. */
export interface Visit {
  readonly ip: string;
  /** The login. */
  readonly user: string;
  /** As `TLSv1.3`; null: in plain text. */
  readonly tls: string | null;
}

/** Somebody has logged in. */
export function login(session: number, { ip, user, tls }: Visit): string {
  return line(session, "login", { ip, user, tls: tls ?? "none" });
}

/** Somebody has not: the password was `refused`, he is `braked` for too many failures, or it is `temporary`. */
export function refused(session: number, { ip, user, tls }: Visit, why: string): string {
  return line(session, "refused", { ip, user, tls: tls ?? "none", why });
}

/** It is over; `bytes` is what the client got behind its login. */
export function closed(
  session: number,
  { ip, why, bytes }: { ip: string; why: string; bytes: number },
): string {
  return line(session, "closed", { ip, bytes: String(bytes), why });
}

/** Something that the administrator should know. */
export function warning(text: string): string {
  return `warning: ${text}\n`;
}
