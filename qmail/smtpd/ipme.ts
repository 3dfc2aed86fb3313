/** The addresses of this machine (C qmail: ipme.c). */

import { networkInterfaces } from "node:os";

/** All of them; with 0.0.0.0, which means "this host" everywhere (RFC 1122 section 3.2.1.3). */
export function ownAddresses(): ReadonlySet<string> {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return new Set(["0.0.0.0", ...all.map(({ address }) => address)]);
}
