/** Addresses of sockets, as texts. Pure. */

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
