/** Who is at the two ends of a connection, in the one form that an address has. */

import type { Socket } from "node:net";
import { canonicalAddress } from "./keys.ts";
import type { Endpoints } from "./lookups.ts";

/** Both ends as texts; null when the client has gone. `mapped`: addresses of IPv4 are shown as of IPv6. */
export function endpoints(socket: Socket, mapped: boolean): Endpoints | null {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  if (!localAddress || !localPort || !remoteAddress || !remotePort) return null;
  const shown = (address: string) => {
    const ip = plain(address);
    return mapped && !ip.includes(":") ? `::ffff:${ip}` : ip;
  };
  return { localIp: shown(localAddress), localPort, remoteIp: shown(remoteAddress), remotePort };
}

/** An address in its one form, of IPv4 as such, without an interface. */
export function plain(address: string): string {
  return canonicalAddress(unmapped(address).replace(/%.*/, ""));
}

/** An IPv4 address, however it is shown. */
export function unmapped(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, "");
}
