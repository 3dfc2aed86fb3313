/**
 * The lines of the POP3 service's log: one function each, and the parser that reads them back.
 *
 *   pop3d 3: login ip=192.0.2.1 user=joe tls=TLSv1.3
 *   pop3d 3: refused ip=192.0.2.1 user=joe tls=none why=refused
 *   pop3d 3: closed ip=192.0.2.1 bytes=815 why=done
 */

import { oneLine } from "../warn.ts";

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
  return `warning: ${oneLine(text)}\n`;
}

export interface Pop3dLogLine {
  readonly session: string;
  readonly event: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** One line without its newline; null for a line that is none of ours. Warnings are in no form of their own. */
export function parsePop3dLine(text: string): Pop3dLogLine | null {
  const match = /^pop3d (\d+): (login|refused|closed)((?: [a-z]+=\S*)+)$/.exec(text);
  if (!match) return null;
  const [, session = "", event = "", words = ""] = match;
  const pairs = Array.from(words.matchAll(/ ([a-z]+)=(\S*)/g), ([, key, value]) => [key, value]);
  return { session, event, fields: Object.fromEntries(pairs) };
}
