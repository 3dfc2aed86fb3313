/** What is found out about a connection before its program runs: names in DNS, and IDENT (RFC 1413). */

import { Resolver } from "node:dns/promises";
import { connect, isIP } from "node:net";
import { ipv6Groups } from "./keys.ts";

const DNS = { timeout: 5000, tries: 3 };
/** No longer answer is read. */
const INFO_MAX = 1000;

/** Asks the name servers of $DNSCACHEIP, as ucspi-tcp does, or of the system. */
function resolver(): Resolver {
  const resolver = new Resolver(DNS);
  const servers = (process.env.DNSCACHEIP ?? "").split(/[^0-9A-Fa-f.:]+/).filter(isIP);
  if (servers.length > 0) resolver.setServers(servers);
  return resolver;
}

/** The name of `ip` in DNS, lower case; null: none, or no answer. */
export async function hostName(ip: string): Promise<string | null> {
  try {
    const [name] = await resolver().resolvePtr(reverseName(ip));
    return name?.toLowerCase() || null;
  } catch {
    return null;
  }
}

/** Where DNS keeps the name of `ip`. Asked by hand: `reverse` would look into /etc/hosts as well. */
function reverseName(ip: string): string {
  const groups = ipv6Groups(ip);
  if (!groups) return `${ip.split(".").reverse().join(".")}.in-addr.arpa`;
  const digits = groups.map((group) => group.toString(16).padStart(4, "0")).join("");
  return `${[...digits].reverse().join(".")}.ip6.arpa`;
}

/** Whether DNS says that `host` has the address `ip`. */
export async function hasAddress(host: string, ip: string): Promise<boolean> {
  try {
    const asked = resolver();
    const found = ip.includes(":") ? await asked.resolve6(host) : await asked.resolve4(host);
    return found.includes(ip);
  } catch {
    return false;
  }
}

/** The two ends of a TCP connection. */
export interface Endpoints {
  readonly localIp: string;
  readonly localPort: number;
  readonly remoteIp: string;
  readonly remotePort: number;
}

/** What the remote host says of who has made the connection; null: it says nothing within `seconds`. */
export function remoteInfo(ends: Endpoints, seconds: number): Promise<string | null> {
  return new Promise((resolve) => {
    const { localIp, localPort, remoteIp, remotePort } = ends;
    const socket = connect({ host: remoteIp, port: 113, localAddress: localIp });
    let text = "";
    const done = (info: string | null) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(info);
    };
    const timer = setTimeout(() => done(null), seconds * 1000);
    socket.on("error", () => done(null));
    socket.on("close", () => done(null));
    socket.on("connect", () => void socket.write(`${remotePort} , ${localPort}\r\n`));
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (text.includes("\n") || text.length > INFO_MAX) done(parseInfo(text));
    });
  });
}

/** The fourth part of `6193, 23 : USERID : UNIX : stjohns`, without blanks; empty where there is none. */
export function parseInfo(answer: string): string {
  const line = answer.slice(0, INFO_MAX).split("\n", 1)[0] ?? "";
  return line
    .replace(/[ \t\r\0]/g, "")
    .split(":")
    .slice(3)
    .join(":");
}
