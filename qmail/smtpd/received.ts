/** The Received line of network mail, in qmail's form (C qmail: received.c). */

import { date822 } from "../date822.ts";

/** Who is at the other end, as a tcpserver says it. */
export interface Peer {
  readonly ip: string;
  /** Null when it was not looked up or not found. */
  readonly host: string | null;
  /** What an ident server or a login says of the user there. */
  readonly info: string | null;
}

export interface Reception {
  readonly peer: Peer;
  /** What the client called itself; "" when it did not. */
  readonly helo: string;
  readonly protocol: "SMTP" | "ESMTP";
  readonly by: string;
  /** Seconds since 1970. */
  readonly now: number;
}

export function receivedLine({ peer, helo, protocol, by, now }: Reception): string {
  const host = peer.host ?? "unknown";
  const called =
    helo !== "" && helo.toLowerCase() !== host.toLowerCase() ? ` (HELO ${safe(helo)})` : "";
  const info = peer.info === null ? "" : `${safe(peer.info)}@`;
  const from = `${safe(host)}${called} (${info}${safe(peer.ip)})`;
  return `Received: from ${from}\n  by ${safe(by)} with ${protocol}; ${date822(now)}\n`;
}

/** What the other side says must not change the form of the line. */
function safe(text: string): string {
  return text.replace(/[^A-Za-z0-9.@%+/=:[\]-]/g, "?");
}
