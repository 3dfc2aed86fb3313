/** Static routes: control/smtproutes (qmail-remote(8)), and control/qmtproutes in the same form. Pure. */

import type { ConstMap } from "../control/constmap.ts";

export const SMTP_PORT = 25;

export interface Relay {
  /** A name, or an address without its brackets. */
  readonly host: string;
  readonly port: number;
}

export interface Route {
  /** What matched: the name, `.rest` of it, or "" for everything. */
  readonly pattern: string;
  /** Null: by MX. */
  readonly relay: Relay | null;
}

/** The route for `host`, to `port` unless it names another; null when there is none. The whole name counts first, then `.rest` from the longest, then "". */
export function findRoute(routes: ConstMap, host: string, port = SMTP_PORT): Route | null {
  for (let from = 0; from >= 0; from = host.indexOf(".", from + 1)) {
    const pattern = host.slice(from);
    const entry = routes.get(pattern);
    if (entry !== undefined) return { pattern, relay: parseRelay(entry, port) };
  }
  const all = routes.get("");
  return all === undefined ? null : { pattern: "", relay: parseRelay(all, port) };
}

/** `relay`, `relay:port`, `[1.2.3.4]:port`, `[2001:db8::1]`; null for the empty one: by MX. */
export function parseRelay(entry: string, port = SMTP_PORT): Relay | null {
  const match = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d*))?/.exec(entry);
  const host = match?.[1] ?? match?.[2] ?? "";
  if (host === "") return null;
  return { host: host.replace(/^IPv6:/i, ""), port: Number(match?.[3] || port) };
}
