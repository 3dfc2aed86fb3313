/** Which channel an address goes to, and in what form (qmail-send(8); C qmail: qmail-send.c, rewrite). */

import { ConstMap, ConstSet } from "../control/constmap.ts";
import type { Control } from "../control/control.ts";
import type { Channel } from "./log.ts";

export interface Rewritten {
  readonly channel: Channel;
  readonly address: string;
}

/** Where an address goes and what decided. */
export interface Decision extends Rewritten {
  /** The address in every form on its way to the last, before anything is put in front. */
  readonly forms: readonly string[];
  /** The control file that has the address or its domain; null: none has, or virtualdomains says it is remote. */
  readonly file: "locals" | "virtualdomains" | null;
  /** The entry there; also that of an exception in virtualdomains. */
  readonly key: string | null;
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
  const { channel, address } = decide(tables, recipient);
  return { channel, address };
}

/** As `rewrite`, with what led there. */
export function decide(tables: RewriteTables, recipient: string): Decision {
  let address = recipient.includes("@") ? recipient : `${recipient}@${tables.envnoathost}`;
  const forms = address === recipient ? [recipient] : [recipient, address];
  let at = address.lastIndexOf("@");
  while (tables.percenthack.has(address.slice(at + 1))) {
    const percent = address.lastIndexOf("%", at - 1);
    if (percent < 0) break;
    address = `${address.slice(0, percent)}@${address.slice(percent + 1, at)}`;
    at = percent;
    forms.push(address);
  }
  // The domain begins behind the last @ of the result, which the percent hack may have moved.
  at = address.lastIndexOf("@");
  const domain = address.slice(at + 1);
  if (tables.locals.has(domain)) {
    return { channel: "local", address, forms, file: "locals", key: domain };
  }
  const found = virtualUser(tables.virtualdomains, address, domain);
  // An empty entry is an exception: that domain is not ours.
  if (found && found.entry !== "") {
    const virtual = `${found.entry}-${address}`;
    return { channel: "local", address: virtual, forms, file: "virtualdomains", key: found.key };
  }
  return { channel: "remote", address, forms, file: null, key: found?.key ?? null };
}

interface Found {
  readonly key: string;
  readonly entry: string;
}

/** The entry of virtualdomains for the whole address, its domain, a domain above, or everything. */
function virtualUser(domains: ConstMap, address: string, domain: string): Found | null {
  const whole = domains.get(address);
  return whole === undefined ? domainEntry(domains, domain) : { key: address, entry: whole };
}

/** `domain` itself, then `.rest` from the longest to the shortest, then the empty key. */
function domainEntry(domains: ConstMap, domain: string): Found | null {
  for (const key of domainKeys(domain)) {
    const entry = domains.get(key);
    if (entry !== undefined) return { key, entry };
  }
  return null;
}

/** The keys that a table of domains may have for `domain`, in the order they count. */
export function* domainKeys(domain: string): Generator<string> {
  for (let from = 0; from >= 0; from = domain.indexOf(".", from + 1)) yield domain.slice(from);
  yield "";
}

/** The recipient as the sender wrote it: without what virtualdomains put before it. For bounces. */
export function stripPrepend(domains: ConstMap, recipient: string): string {
  const at = recipient.lastIndexOf("@");
  if (at < 0) return recipient;
  const prepend = domainEntry(domains, recipient.slice(at + 1))?.entry;
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
