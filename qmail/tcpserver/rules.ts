/**
 * What the rules that tcprules compiled say about a client (tcprules(1)). The search is pure; `Rules`
 * is a file of them, looked at anew for each client, so that a changed file counts at once.
 *
 * Besides Debian's and ucspi-tcp-ipv6's keys it knows networks as ucspi-tcp6 writes them (keys.ts).
 */

import { CdbFile, cdbGet } from "../cdb/cdb.ts";
import { networkKeys } from "./keys.ts";

/** What is known of a client. */
export interface Client {
  /** As text; an IPv4 client in the dotted form. */
  readonly ip: string;
  /** Its name in DNS; null: none, or not looked for. */
  readonly host: string | null;
  /** What its host says of it by IDENT; null: nothing, or not asked. */
  readonly info: string | null;
}

/** What is to be done with a client. */
export interface Instructions {
  readonly deny: boolean;
  /** Variables to set, in the order of the rule. */
  readonly env: readonly (readonly [name: string, value: string])[];
}

export interface Verdict extends Instructions {
  /** The address of the rule that was followed; null: there is none. */
  readonly rule: string | null;
}

/** Without a rule everybody may come. */
export const ALLOWED: Verdict = { rule: null, deny: false, env: [] };

/** The addresses that a rule for `client` may have, the first to count first. */
export function* ruleAddresses({ ip, host, info }: Client): Generator<string> {
  if (info !== null) {
    yield `${info}@${ip}`;
    if (host !== null) yield `${info}@=${host}`;
  }
  yield ip;
  if (host !== null) yield `=${host}`;
  for (let at = ip.length; at > 0; at--) if (/[.:]/.test(ip[at - 1] ?? "")) yield ip.slice(0, at);
  yield* networkKeys(ip);
  if (host !== null) {
    for (let at = host.indexOf("."); at >= 0; at = host.indexOf(".", at + 1)) {
      yield `=${host.slice(at)}`;
    }
    yield "=";
  }
  yield "";
}

/** The data of a rule: `D` denies, `+NAME=VALUE` sets, each ended by a NUL. */
export function parseInstructions(data: Buffer): Instructions {
  const words = data.toString("latin1").split("\0").slice(0, -1);
  const env = words.flatMap((word): [string, string][] => {
    const equals = word.indexOf("=");
    return word.startsWith("+") && equals > 0
      ? [[word.slice(1, equals), word.slice(equals + 1)]]
      : [];
  });
  return { deny: words.some((word) => word.startsWith("D")), env };
}

/** The first rule for `client`; `find` knows the data of an address. */
export function followRules(client: Client, find: (address: string) => Buffer | null): Verdict {
  for (const rule of ruleAddresses(client)) {
    const data = find(rule);
    if (data) return { rule, ...parseInstructions(data) };
  }
  return ALLOWED;
}

/** A rules file. */
export class Rules {
  readonly #file: CdbFile;

  constructor(path: string) {
    this.#file = new CdbFile(path);
  }

  /** What the rules say now; null when there is no such file. Throws when it cannot be read. */
  verdict(client: Client): Verdict | null {
    const cdb = this.#file.read();
    if (!cdb) return null;
    return followRules(client, (address) => cdbGet(cdb, Buffer.from(address, "latin1")));
  }
}
