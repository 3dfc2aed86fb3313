/** The Received line of mail by QMTP and QMQP, in qmail's form (C qmail: received.c). */

import { date822 } from "../date822.ts";
import type { Client } from "./client.ts";

export interface Receipt {
  readonly client: Client;
  readonly protocol: "QMTP" | "QMQP";
  /** Seconds since 1970. */
  readonly now: number;
}

/** The line with its newline. */
export function receivedLine({ client, protocol, now }: Receipt): string {
  const { ip, host, info, local } = client;
  const user = info === null ? "" : `${safe(info)}@`;
  const from = `${safe(host)} (${user}${safe(ip)})`;
  return `Received: from ${from}\n  by ${safe(local)} with ${protocol}; ${date822(now)}\n`;
}

/** What the other side says must not change the form of the line. */
function safe(text: string): string {
  return text.replace(/[^A-Za-z0-9.@%+/=:[\]-]/g, "?");
}
