/**
 * Which addresses lead to this machine (C qmail: ipme.c). By their bytes: one address has many spellings, and what loops
 * back is ours however it is written.
 *
 * control/moreipme names others, as of a router that hands its port 25 on to us; control/notipme takes some out.
 */

import { BlockList, isIP, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import type { Control } from "../control/control.ts";

/** "This host" and what loops back (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5). */
const ALWAYS: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 32],
  ["127.0.0.0", 8],
  ["::", 128],
  ["::1", 128],
];

export class OwnAddresses {
  readonly #more: BlockList;
  readonly #not: BlockList;

  /** By control/moreipme and control/notipme. Throws for a line there that is no address or network. */
  constructor(control: Pick<Control, "lines">) {
    this.#more = networks(control, "moreipme");
    for (const [network, bits] of ALWAYS) this.#more.addSubnet(network, bits, family(network));
    this.#not = networks(control, "notipme");
  }

  /** True for an address of this machine, as it is now, however that is spelled. */
  has(ip: string): boolean {
    // A link-local one without its interface.
    const plain = ip.replace(/%.*/, "");
    if (!isIP(plain)) return false;
    const type = family(plain);
    if (this.#not.check(plain, type)) return false;
    return this.#more.check(plain, type) || interfaces().check(plain, type);
  }
}

function interfaces(): BlockList {
  const list = new BlockList();
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  for (const { address } of all) {
    const plain = address.replace(/%.*/, "");
    list.addAddress(plain, family(plain));
  }
  return list;
}

function networks(control: Pick<Control, "lines">, name: string): BlockList {
  const list = new BlockList();
  for (const line of control.lines(name) ?? []) {
    const [, ip = "", bits] = /^([\da-f:.]+)(?:\/(\d{1,3}))?$/i.exec(line) ?? [];
    const most = isIPv6(ip) ? 128 : 32;
    const length = Number(bits ?? most);
    if (!isIP(ip) || length > most) {
      throw new Error(`cannot read control/${name}: "${line}" is no address and no network`);
    }
    list.addSubnet(ip, length, family(ip));
  }
  return list;
}

function family(ip: string): "ipv4" | "ipv6" {
  return isIPv6(ip) ? "ipv6" : "ipv4";
}
