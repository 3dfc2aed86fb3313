/** Which name servers to ask: control/dnsservers, or the system's resolv.conf(5). */

import { readFileSync } from "node:fs";
import { isIP, isIPv6 } from "node:net";
import type { Control } from "../control/control.ts";

export interface NameServer {
  readonly ip: string;
  readonly port: number;
}

export interface NameServers {
  readonly servers: readonly NameServer[];
  /**
   * True when the way to every server cannot be tampered with, so that its word on DNSSEC (the AD bit)
   * counts: all on this machine, or declared so.
   */
  readonly trusted: boolean;
}

const DNS_PORT = 53;
/** As the C library: the servers beyond are not asked. */
const SERVERS_MAX = 3;

/** control/dnsservers: one `ip`, `ip:port` or `[ip]:port` a line, and `trust-ad`. Throws for any other line. */
export function parseDnsServers(lines: readonly string[]): NameServers {
  const servers = lines.filter((line) => line !== "trust-ad").map(parseServer);
  return { servers, trusted: lines.includes("trust-ad") || servers.every(isLoopback) };
}

function parseServer(line: string): NameServer {
  const match = /^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(line) ?? /^([\d.]+):(\d{1,5})$/.exec(line);
  const ip = match?.[1] ?? line;
  const port = Number(match?.[2] ?? DNS_PORT);
  if (!isIP(ip) || port < 1 || port > 65_535) {
    throw new Error(`cannot read control/dnsservers: "${line}" is no address or address:port`);
  }
  return { ip, port };
}

/** resolv.conf(5): its `nameserver` lines and `options trust-ad`; the local host when there are none. */
export function parseResolvConf(text: string): NameServers {
  const words = text.split("\n").map((line) =>
    line
      .replace(/[#;].*/, "")
      .trim()
      .split(/\s+/),
  );
  const servers = words
    .filter(([keyword, ip = ""]) => keyword === "nameserver" && isIP(ip.replace(/%.*/, "")))
    .map(([, ip]) => ({ ip: ip as string, port: DNS_PORT }))
    .slice(0, SERVERS_MAX);
  if (servers.length === 0) servers.push({ ip: "127.0.0.1", port: DNS_PORT });
  const declared = words.some(([keyword, ...rest]) => {
    return keyword === "options" && rest.includes("trust-ad");
  });
  return { servers, trusted: declared || servers.every(isLoopback) };
}

/** The servers of an installation. Throws for a control/dnsservers that cannot be understood. */
export function readNameServers(control: Control, resolvConf = "/etc/resolv.conf"): NameServers {
  const lines = control.lines("dnsservers");
  if (lines && lines.length > 0) return parseDnsServers(lines);
  try {
    return parseResolvConf(readFileSync(resolvConf, "latin1"));
  } catch {
    // As the C library does without the file.
    return parseResolvConf("");
  }
}

function isLoopback({ ip }: NameServer): boolean {
  return isIPv6(ip) ? ip === "::1" : ip.startsWith("127.");
}
