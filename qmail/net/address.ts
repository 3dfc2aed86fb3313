/** Addresses of sockets, as texts. Pure. */

import { BlockList, isIPv6 } from "node:net";

export interface ListenAddress {
  /** Undefined: all addresses. */
  readonly host: string | undefined;
  readonly port: number;
}

/** `HOST:PORT`, `[::1]:25` or `:25`; null for anything else. */
export function parseListen(text: string): ListenAddress | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]*)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65535) return null;
  return { host: match[1] || match[2] || undefined, port };
}

/** An IPv4 client of an IPv6 socket, as what it is; a link-local address without its interface. */
export function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*/, "");
}

/**
 * What counts as one client in limits: an IPv4 address, or the /64 of an IPv6 address, since one
 * household has all of the 2^64 addresses in it.
 */
export function clientOf(ip: string): string {
  if (!ip.includes(":")) return ip;
  const [head = "", tail] = ip.split("::");
  const left = head.split(":").filter(Boolean);
  if (tail === undefined || left.length >= 4) return left.slice(0, 4).join(":");
  const right = tail.split(":").filter(Boolean);
  // An address of the old form at the end, as in ::ffff:1.2.3.4, is two groups.
  const known = left.length + right.length + (tail.includes(".") ? 1 : 0);
  return [...left, ...Array(Math.max(0, 8 - known)).fill("0"), ...right].slice(0, 4).join(":");
}

/** Networks that are somebody's own, or nobody's (IANA's registries of special purpose addresses). */
const NOT_PUBLIC: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
];
/** Of IPv6 only what is given out counts, and in it not what leads to an IPv4 address or is for documents. */
const PUBLIC_6 = ["2000::", 3] as const;
const NOT_PUBLIC_6: readonly (readonly [string, number])[] = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
];

/** True for an address that anybody's host may have: none of this machine, of a private network, or of nobody. */
export function isPublic(ip: string): boolean {
  if (!isIPv6(ip)) return !notPublic().check(ip, "ipv4");
  return given().check(ip, "ipv6") && !notPublic().check(ip, "ipv6");
}

const notPublic = once(() => {
  const list = new BlockList();
  for (const [network, bits] of NOT_PUBLIC) list.addSubnet(network, bits, "ipv4");
  for (const [network, bits] of NOT_PUBLIC_6) list.addSubnet(network, bits, "ipv6");
  return list;
});

const given = once(() => {
  const list = new BlockList();
  list.addSubnet(...PUBLIC_6, "ipv6");
  return list;
});

/** What `make` makes, made when it is wanted first. */
function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
