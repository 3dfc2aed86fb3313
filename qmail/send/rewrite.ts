/** Which channel an address goes to, and in what form (qmail-send(8); C qmail: qmail-send.c, rewrite). */

import { ConstMap, ConstSet } from "../control/constmap.ts";
import type { Control } from "../control/control.ts";
import type { Channel } from "./log.ts";

export interface Rewritten {
  readonly channel: Channel;
  readonly address: string;
}

export interface RewriteTables {
  readonly envnoathost: string;
  readonly percenthack: ConstSet;
  readonly locals: ConstSet;
  readonly virtualdomains: ConstMap;
}

/** The tables from the control files. Throws when one cannot be read, or neither locals nor me exists. */
export function readTables(control: Control): RewriteTables {
  return {
    envnoathost: control.lineOr("envnoathost", true, "envnoathost"),
    percenthack: new ConstSet(control.lines("percenthack") ?? []),
    locals: readLocals(control),
    virtualdomains: readVirtualdomains(control),
  };
}

export function readLocals(control: Control): ConstSet {
  const locals = control.lines("locals", true);
  if (!locals) throw new Error("neither control/locals nor control/me exists");
  return new ConstSet(locals);
}

export function readVirtualdomains(control: Control): ConstMap {
  return new ConstMap(control.lines("virtualdomains") ?? []);
}

/** Channel and form of the envelope recipient `recipient`. */
export function rewrite(tables: RewriteTables, recipient: string): Rewritten {
  let address = recipient.includes("@") ? recipient : `${recipient}@${tables.envnoathost}`;
  let at = address.lastIndexOf("@");
  while (tables.percenthack.has(address.slice(at + 1))) {
    const percent = address.lastIndexOf("%", at - 1);
    if (percent < 0) break;
    address = `${address.slice(0, percent)}@${address.slice(percent + 1, at)}`;
    at = percent;
  }
  // The domain begins behind the last @ of the result, which the percent hack may have moved.
  at = address.lastIndexOf("@");
  if (tables.locals.has(address.slice(at + 1))) return { channel: "local", address };
  const prepend = virtualUser(tables.virtualdomains, address, at);
  if (prepend) return { channel: "local", address: `${prepend}-${address}` };
  return { channel: "remote", address };
}

/** The entry of virtualdomains for the whole address, its domain, a domain above, or everything. */
function virtualUser(domains: ConstMap, address: string, at: number): string | undefined {
  const whole = domains.get(address);
  if (whole !== undefined) return whole;
  return domainEntry(domains, address.slice(at + 1));
}

/** `domain` itself, then `.rest` from the longest to the shortest, then the empty key; "" is an exception. */
function domainEntry(domains: ConstMap, domain: string): string | undefined {
  for (let from = 0; from >= 0; from = domain.indexOf(".", from + 1)) {
    const entry = domains.get(domain.slice(from));
    if (entry !== undefined) return entry;
  }
  return domains.get("");
}

/** The recipient as the sender wrote it: without what virtualdomains put before it. For bounces. */
export function stripPrepend(domains: ConstMap, recipient: string): string {
  const at = recipient.lastIndexOf("@");
  if (at < 0) return recipient;
  const prepend = domainEntry(domains, recipient.slice(at + 1));
  if (!prepend || !recipient.startsWith(`${prepend}-`)) return recipient;
  return recipient.slice(prepend.length + 1);
}

/** The envelope sender for one recipient: `owner-@host-@[]` becomes `owner-box=domain@host` (VERP). */
export function senderFor(sender: string, recipient: string): string {
  if (!sender.endsWith("-@[]")) return sender;
  const end = sender.length - 4;
  const at = sender.lastIndexOf("@", end - 1);
  const split = recipient.lastIndexOf("@");
  if (split < 0 || at < 0) return sender;
  const owner = sender.slice(0, at);
  const host = sender.slice(at + 1, end);
  return `${owner}${recipient.slice(0, split)}=${recipient.slice(split + 1)}@${host}`;
}
