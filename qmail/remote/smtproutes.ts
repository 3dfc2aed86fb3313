/** Static routes: control/smtproutes (qmail-remote(8)), and control/qmtproutes in the same form. Pure. */

import type { ConstMap } from "../control/constmap.ts";

export const SMTP_PORT = 25;

export interface Relay {
  /** A name, or an address without its brackets. */
  readonly host: string;
  readonly port: number;
}

/** The relay for `host`, on `port` unless its route names another; null: by MX. The whole name counts first, then `.rest` from the longest, then "". */
export function findRoute(routes: ConstMap, host: string, port = SMTP_PORT): Relay | null {
  for (let from = 0; from >= 0; from = host.indexOf(".", from + 1)) {
    const entry = routes.get(host.slice(from));
    if (entry !== undefined) return parseRelay(entry, port);
  }
  const all = routes.get("");
  return all === undefined ? null : parseRelay(all, port);
}

/** `relay`, `relay:port`, `[1.2.3.4]:port`, `[2001:db8::1]`; empty for "by MX". */
export function parseRelay(entry: string, port = SMTP_PORT): Relay | null {
  const match = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d*))?/.exec(entry);
  const host = match?.[1] ?? match?.[2] ?? "";
  if (host === "") return null;
  return { host: host.replace(/^IPv6:/i, ""), port: Number(match?.[3] || port) };
}
