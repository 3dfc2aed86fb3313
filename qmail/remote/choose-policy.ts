/** Which TLS policy holds for a mail server: what a route asks for, or the domain by DANE or MTA-STS, or what is offered. */

import type { Tlsa } from "../dns/message.ts";
import type { Dns } from "../dns/resolver.ts";
import { usableTlsa } from "./dane.ts";
import { isNamedBy, type StsPolicies, type StsPolicy, stsPolicyLines } from "./mta-sts.ts";
import type { Exchanger } from "./mx.ts";
import type { Plan } from "./plan.ts";
import { type TlsFault, tlsFault } from "./tls-fault.ts";
import type { TlsPolicy } from "./tls-policy.ts";

/** Who is asked. */
export interface PolicyContext {
  readonly dns: Dns;
  /** What domains want by MTA-STS; absent: nobody is asked. */
  readonly sts?: Pick<StsPolicies, "find"> & Partial<Pick<StsPolicies, "trouble">>;
}

/** What the domain has published, as a report to it names it (RFC 8460 section 4.4). */
export interface Published {
  readonly type: "tlsa" | "sts" | "no-policy-found";
  readonly lines: readonly string[];
  /** Names of servers in the policy. */
  readonly mx: readonly string[];
}

/** What holds, and how the domain is told of it. */
export interface Choice {
  /** Null when `fault` rules the server out. */
  readonly policy: TlsPolicy | null;
  /** What is wrong before anybody is connected to. */
  readonly fault: TlsFault | null;
  /** Null when the server is none of the domain's, or was not asked: nobody is told how it went. */
  readonly published: Published | null;
}

const NOTHING: Published = { type: "no-policy-found", lines: [], mx: [] };

/** For mail of `plan` to `exchanger`. Rejects never. */
export async function choosePolicy(
  context: PolicyContext,
  plan: Plan,
  exchanger: Exchanger,
): Promise<Choice> {
  const { options, byMx } = plan;
  if (options.tlsAsked) {
    const { tls: mode, name } = options;
    const policy: TlsPolicy =
      mode === "verify"
        ? { source: "route", mode, names: [name ?? exchanger.name] }
        : { source: "route", mode };
    return { policy, fault: null, published: null };
  }
  const choice = (await byDane(context, plan, exchanger)) ??
    (await bySts(context, plan, exchanger)) ?? {
      policy: { source: "default", mode: "may" },
      fault: null,
      published: NOTHING,
    };
  // A relay is not of the domain, which has nothing to learn of it.
  return byMx ? choice : { ...choice, published: null };
}

async function byDane(
  { dns }: PolicyContext,
  { port, host }: Plan,
  { name, secure }: Exchanger,
): Promise<Choice | null> {
  if (!secure) return null;
  const tlsa = await dns.lookup(`_${port}._tcp.${name}`, "TLSA");
  if (tlsa.status === "trouble") {
    // An attacker who can keep the records from us must not win (RFC 7672 section 2.1.1).
    const reason = `its TLSA records cannot be looked up: ${tlsa.why}`;
    const published: Published = { type: "tlsa", lines: [], mx: [] };
    return { policy: null, fault: tlsFault("dnssec-invalid", reason), published };
  }
  if (tlsa.status === "none" || !tlsa.secure) return null;
  const published: Published = { type: "tlsa", lines: tlsa.records.map(tlsaLine), mx: [] };
  const usable = usableTlsa(tlsa.records);
  const policy: TlsPolicy =
    usable.length === 0
      ? { source: "DANE", mode: "require" }
      : { source: "DANE", mode: "dane", tlsa: usable, names: [name, host] };
  return { policy, fault: null, published };
}

async function bySts(
  { sts }: PolicyContext,
  { byMx, domain }: Plan,
  { name }: Exchanger,
): Promise<Choice | null> {
  if (!sts || !byMx) return null;
  const found = await sts.find(domain);
  if (!found || found.mode === "none") return stsTrouble(sts.trouble?.(domain) ?? null);
  const published: Published = { type: "sts", lines: stsPolicyLines(found), mx: found.mx };
  const fault = nameFault(found, { domain, name });
  if (found.mode === "testing") {
    const policy: TlsPolicy = { source: "MTA-STS", mode: "test", names: [name], fault };
    return { policy, fault: null, published };
  }
  if (fault) return { policy: null, fault, published };
  return { policy: { source: "MTA-STS", mode: "verify", names: [name] }, fault, published };
}

function nameFault(
  policy: StsPolicy,
  { domain, name }: { readonly domain: string; readonly name: string },
): TlsFault | null {
  if (isNamedBy(policy, name)) return null;
  const reason = `${name} is not named by the MTA-STS policy of ${domain}`;
  return tlsFault("validation-failure", reason);
}

/** A policy that there should be and that could not be had: mail goes on as if there were none. */
function stsTrouble(fault: TlsFault | null): Choice | null {
  if (!fault) return null;
  const published: Published = { type: "sts", lines: [], mx: [] };
  return { policy: { source: "default", mode: "may" }, fault, published };
}

function tlsaLine({ usage, selector, matchingType, certificate }: Tlsa): string {
  return `${usage} ${selector} ${matchingType} ${certificate.toString("hex")}`;
}
