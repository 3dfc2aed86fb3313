/** Which addresses take mail for a host: MX records, or the host itself (RFC 5321 section 5.1). */

import { isIP } from "node:net";

/** What DNS says; rejects as node:dns does, with `code` ENOTFOUND, ENODATA, ESERVFAIL, ETIMEOUT, ... */
export interface MailResolver {
  resolveMx(host: string): Promise<readonly { exchange: string; priority: number }[]>;
  resolve4(host: string): Promise<readonly string[]>;
  resolve6(host: string): Promise<readonly string[]>;
}

export interface Exchanger {
  readonly ip: string;
  readonly preference: number;
}

/** soft: ask again later. hard: no such host. none: the host takes no mail (null MX). */
export type Lookup =
  | { readonly ok: true; readonly exchangers: readonly Exchanger[] }
  | { readonly ok: false; readonly why: "soft" | "hard" | "null" };

/** Addresses of the exchangers of `host`, the best first; equal ones in random order. */
export async function lookupMx(
  resolver: MailResolver,
  host: string,
  random: () => number,
): Promise<Lookup> {
  const literal = /^\[(?:IPv6:)?(.*)\]$/i.exec(host)?.[1];
  if (literal !== undefined) return lookupHost(resolver, literal);
  const records = await attempt(() => resolver.resolveMx(host));
  if (records === "soft") return { ok: false, why: "soft" };
  if (records === "none" || records.length === 0) return lookupHost(resolver, host);
  if (records.every(({ exchange }) => exchange === "" || exchange === ".")) {
    return { ok: false, why: "null" };
  }
  const found: Exchanger[] = [];
  let soft = false;
  for (const { exchange, priority } of shuffle(records, random)) {
    const addresses = await lookupHost(resolver, exchange);
    if (addresses.ok) {
      found.push(...addresses.exchangers.map(({ ip }) => ({ ip, preference: priority })));
    } else soft ||= addresses.why === "soft";
  }
  if (found.length === 0) return { ok: false, why: soft ? "soft" : "hard" };
  // Stable: what was shuffled stays so among equals.
  return { ok: true, exchangers: found.sort((a, b) => a.preference - b.preference) };
}

/** The addresses of `host` itself: IPv6 first, as the system's own order would be. */
export async function lookupHost(resolver: MailResolver, host: string): Promise<Lookup> {
  if (isIP(host)) return { ok: true, exchangers: [{ ip: host, preference: 0 }] };
  const answers = await Promise.all([
    attempt(() => resolver.resolve6(host)),
    attempt(() => resolver.resolve4(host)),
  ]);
  const ips = answers.flatMap((answer) => (typeof answer === "string" ? [] : answer));
  if (ips.length > 0) return { ok: true, exchangers: ips.map((ip) => ({ ip, preference: 0 })) };
  return { ok: false, why: answers.includes("soft") ? "soft" : "hard" };
}

/** Errors that say for certain that there is nothing. */
const NONE = new Set(["ENOTFOUND", "ENODATA"]);

async function attempt<T>(
  look: () => Promise<readonly T[]>,
): Promise<readonly T[] | "soft" | "none"> {
  try {
    return await look();
  } catch (error) {
    return NONE.has((error as NodeJS.ErrnoException).code ?? "") ? "none" : "soft";
  }
}

function shuffle<T>(items: readonly T[], random: () => number): T[] {
  const shuffled = [...items];
  for (let at = shuffled.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    [shuffled[at], shuffled[other]] = [shuffled[other] as T, shuffled[at] as T];
  }
  return shuffled;
}
