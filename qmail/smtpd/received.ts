/** The Received line of network mail, in qmail's form (C qmail: received.c). */

import { date822 } from "../date822.ts";
import type { TlsState } from "../net/connection.ts";

/** Who is at the other end, as a tcpserver says it. */
export interface Peer {
  readonly ip: string;
  /** "unknown" when it was not looked up or not found. */
  readonly host: string;
  /** What an ident server or a login says of the user there; null when nothing does. */
  readonly info: string | null;
}

export interface Reception {
  readonly peer: Peer;
  /** What the client called itself; null when it did not. */
  readonly helo: string | null;
  readonly esmtp: boolean;
  readonly tls: TlsState | null;
  /** The peer's info is a user who has proved to be it. */
  readonly authenticated: boolean;
  readonly by: string;
  /** Seconds since 1970. */
  readonly now: number;
}

/** The line with its newline; a HELO that only repeats the host's name is left out. */
export function receivedLine(reception: Reception): string {
  const { peer, helo, tls, by, now } = reception;
  const { host, info } = peer;
  const told = helo !== null && helo.toLowerCase() !== host.toLowerCase();
  const called = told ? ` (HELO ${safe(helo)})` : "";
  const user = info === null ? "" : `${safe(info)}@`;
  const from = `${safe(host)}${called} (${user}${safe(peer.ip)})`;
  const encryption = tls ? ` (${safe(tls.protocol)} ${tls.cipher.replace(/\W/g, "_")})` : "";
  return `Received: from ${from}\n  by ${safe(by)} with ${protocolOf(reception)}${encryption}; ${date822(now)}\n`;
}

/** The protocol's name, with what was added to it (RFC 3848). */
function protocolOf({ esmtp, tls, authenticated }: Reception): string {
  if (!esmtp) return "SMTP";
  return `ESMTP${tls ? "S" : ""}${authenticated ? "A" : ""}`;
}

/** What the other side says must not change the form of the line. */
function safe(text: string): string {
  return text.replace(/[^A-Za-z0-9.@%+/=:[\]-]/g, "?");
}
