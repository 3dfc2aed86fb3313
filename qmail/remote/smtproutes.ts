/** Static routes: control/smtproutes (qmail-remote(8)), and control/qmtproutes in the same form. Pure. */

import { isIP } from "node:net";
import type { ConstMap } from "../control/constmap.ts";

export const SMTP_PORT = 25;

export interface Relay {
  /** A name, or an address without its brackets. */
  readonly host: string;
  readonly port: number;
}

/** Where an entry leads to. */
export type Target =
  /** Null: by MX. */
  | { readonly relay: Relay | null; readonly fault: null }
  /** It cannot be understood: nobody knows where the mail is to go. */
  | { readonly relay: null; readonly fault: string };

export type Route = Target & {
  /** What matched: the name, `.rest` of it, or "" for everything. */
  readonly pattern: string;
  /** What stands behind the pattern. */
  readonly entry: string;
};

/** The route for `host`, to `port` unless it names another; null when there is none. The whole name counts first, then `.rest` from the longest, then "". */
export function findRoute(routes: ConstMap, host: string, port = SMTP_PORT): Route | null {
  for (let from = 0; from >= 0; from = host.indexOf(".", from + 1)) {
    const pattern = host.slice(from);
    const entry = routes.get(pattern);
    if (entry !== undefined) return { pattern, entry, ...parseRelay(entry, port) };
  }
  const entry = routes.get("");
  return entry === undefined ? null : { pattern: "", entry, ...parseRelay(entry, port) };
}

/** `relay`, `relay:port`, `[1.2.3.4]:port`, `[2001:db8::1]`; the empty one: by MX. */
export function parseRelay(entry: string, port = SMTP_PORT): Target {
  const match = /^(?:\[([^\]]*)\]|([^:[]*))(?::(\d*))?$/.exec(entry);
  const host = (match?.[1] ?? match?.[2] ?? "").replace(/^IPv6:/i, "");
  const to = Number(match?.[3] || port);
  if (!match) return faulty(`"${entry}" is no host, host:port or [address]:port`);
  if (host === "") return { relay: null, fault: null };
  if (!isIP(host) && !/^[\w.\x80-\xff-]+$/.test(host)) return faulty(`"${host}" is no host`);
  if (to < 1 || to > 65_535) return faulty(`${to} is no port`);
  return { relay: { host, port: to }, fault: null };
}

function faulty(fault: string): Target {
  return { relay: null, fault };
}
