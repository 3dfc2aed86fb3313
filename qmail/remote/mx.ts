/** Which addresses take mail for a host: MX records, or the host itself (RFC 5321 section 5.1, RFC 7505). */

import { isIP } from "node:net";
import type { Dns, Resolution } from "../dns/resolver.ts";

export interface Exchanger {
  /** The host's name, as DNS has it; the address itself for an address literal. */
  readonly name: string;
  readonly ip: string;
  readonly preference: number;
  /** By DNSSEC, all the way from the mail domain to the address: then TLSA records count (RFC 7672 section 2.2). */
  readonly secure: boolean;
}

/**
 * Why there is nobody: `soft`, ask again later; `hard`, no such host; `nomx`, exchangers without
 * addresses; `null`, the host takes no mail.
 */
export type LookupFailure = "soft" | "hard" | "nomx" | "null";

export type Lookup =
  | {
      readonly ok: true;
      readonly exchangers: readonly Exchanger[];
      /** Preferences of exchangers whose addresses are not known: there may be others than `exchangers`. */
      readonly missing: readonly number[];
    }
  | { readonly ok: false; readonly why: LookupFailure };

/** So many exchangers of a host are looked at: a domain with more wants to keep us busy. */
const EXCHANGERS_MAX = 20;
const LOCALHOST = ["::1", "127.0.0.1"];

/** Addresses of the exchangers of `host`, the best first; equal ones in random order. `random` is from 0 to 1. */
export async function lookupMx(dns: Dns, host: string, random: () => number): Promise<Lookup> {
  if (literalAddress(host) !== null) return lookupHost(dns, host);
  const mx = await dns.lookup(host, "MX");
  if (mx.status === "trouble") return { ok: false, why: "soft" };
  if (mx.status === "none") return withoutMx(await lookupHost(dns, host), mx.unproven === true);
  const records = mx.records.filter(({ exchange }) => exchange !== "");
  if (records.length === 0) return { ok: false, why: "null" };
  const best = shuffle(records, random).sort((a, b) => a.preference - b.preference);
  const lookups = best.slice(0, EXCHANGERS_MAX).map(async ({ exchange, preference }) => {
    const lookup = await lookupHost(dns, exchange);
    if (!lookup.ok) return { why: lookup.why, preference };
    return lookup.exchangers.map((exchanger) => {
      return { ...exchanger, preference, secure: exchanger.secure && mx.secure };
    });
  });
  const found = await Promise.all(lookups);
  const exchangers = found.flatMap((each) => ("why" in each ? [] : each));
  const failed = found.flatMap((each) => ("why" in each ? [each] : []));
  if (exchangers.length > 0) {
    return { ok: true, exchangers, missing: failed.map(({ preference }) => preference) };
  }
  return { ok: false, why: failed.some(({ why }) => why === "soft") ? "soft" : "nomx" };
}

/** The host itself is asked, since it has no MX, as far as is known. */
function withoutMx(lookup: Lookup, unproven: boolean): Lookup {
  if (!unproven) return lookup;
  return lookup.ok
    ? { ...lookup, missing: [Number.NEGATIVE_INFINITY] }
    : { ok: false, why: "soft" };
}

/** The addresses of `host` itself: IPv6 first, as the system's own order would be. */
export async function lookupHost(dns: Dns, host: string): Promise<Lookup> {
  const literal = literalAddress(host);
  if (literal !== null) return addresses(literal, isIP(literal) ? [literal] : [], false);
  // Never a question for DNS (RFC 6761 section 6.3).
  if (/^localhost\.?$/i.test(host)) return addresses(host, LOCALHOST, false);
  const [six, four] = await Promise.all([dns.lookup(host, "AAAA"), dns.lookup(host, "A")]);
  const answers = [six, four];
  const ips = answers.flatMap((answer) => (answer.status === "found" ? answer.records : []));
  const secure = answers.every((answer) => answer.status !== "trouble" && answer.secure);
  if (ips.length === 0 && answers.some(isUnsure)) return { ok: false, why: "soft" };
  return addresses(host, ips, secure);
}

function isUnsure(answer: Resolution<"A" | "AAAA">): boolean {
  return answer.status === "trouble" || (answer.status === "none" && answer.unproven === true);
}

/** The address in `[1.2.3.4]`, `[IPv6:::1]`, or written without brackets; null for a name. */
function literalAddress(host: string): string | null {
  if (isIP(host)) return host;
  return /^\[(?:IPv6:)?(.*)\]$/i.exec(host)?.[1] ?? null;
}

function addresses(name: string, ips: readonly string[], secure: boolean): Lookup {
  if (ips.length === 0) return { ok: false, why: "hard" };
  const exchangers = ips.map((ip) => ({ name, ip, preference: 0, secure }));
  return { ok: true, exchangers, missing: [] };
}

function shuffle<T>(items: readonly T[], random: () => number): T[] {
  const shuffled = [...items];
  for (let at = shuffled.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    [shuffled[at], shuffled[other]] = [shuffled[other] as T, shuffled[at] as T];
  }
  return shuffled;
}
