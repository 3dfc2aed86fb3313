/** Does a certificate chain match TLSA records? Pure (RFC 6698 section 2.1, RFC 7671, RFC 7672 section 3). */

import { createHash, timingSafeEqual, type X509Certificate } from "node:crypto";
import type { Tlsa } from "../dns/message.ts";
import { type TlsFault, tlsFault } from "./tls-fault.ts";

const DANE_TA = 2;
const DANE_EE = 3;
const SELECTOR = { cert: 0, spki: 1 } as const;
const HASHES: Readonly<Record<number, string>> = { 1: "sha256", 2: "sha512" };

/** The records that can be used for SMTP: others count as if they were not there (RFC 7672 section 3.1.3). */
export function usableTlsa(records: readonly Tlsa[]): Tlsa[] {
  return records.filter(
    ({ usage, selector, matchingType }) =>
      (usage === DANE_TA || usage === DANE_EE) &&
      (selector === SELECTOR.cert || selector === SELECTOR.spki) &&
      (matchingType === 0 || matchingType in HASHES),
  );
}

/**
 * Null when `chain` (the server's own certificate first) is what `records` say; else what is wrong.
 * `names` are those of which the certificate must have one, where a trust anchor vouches for it; `now`
 * in milliseconds.
 */
export function daneFault(
  records: readonly Tlsa[],
  chain: readonly X509Certificate[],
  { names, now }: { readonly names: readonly string[]; readonly now: number },
): TlsFault | null {
  const [leaf] = chain;
  if (!leaf) return tlsFault("validation-failure", "no certificate");
  // The record vouches for this very key: names and dates do not matter (RFC 7672 section 3.1.1).
  if (records.some((record) => record.usage === DANE_EE && matches(record, leaf))) return null;
  const anchors = records.filter(({ usage }) => usage === DANE_TA);
  const anchor = chain.findIndex((cert) => anchors.some((record) => matches(record, cert)));
  if (anchor < 0) return tlsFault("tlsa-invalid", "no TLSA record matches the certificate");
  return chainFault(chain.slice(0, anchor + 1), now) ?? nameFault(leaf, names);
}

function matches({ selector, matchingType, certificate }: Tlsa, cert: X509Certificate): boolean {
  const data =
    selector === SELECTOR.cert ? cert.raw : cert.publicKey.export({ type: "spki", format: "der" });
  const hash = HASHES[matchingType];
  const bytes = hash ? createHash(hash).update(data).digest() : data;
  return bytes.length === certificate.length && timingSafeEqual(bytes, certificate);
}

/** Each certificate valid now and signed by the next. */
function chainFault(chain: readonly X509Certificate[], now: number): TlsFault | null {
  for (const [at, cert] of chain.entries()) {
    if (now < Date.parse(cert.validFrom) || now > Date.parse(cert.validTo)) {
      return tlsFault("certificate-expired", "a certificate of the chain is not valid now");
    }
    const issuer = chain[at + 1];
    if (issuer && !(cert.checkIssued(issuer) && cert.verify(issuer.publicKey) && issuer.ca)) {
      return tlsFault("certificate-not-trusted", "the certificates are no chain");
    }
  }
  return null;
}

function nameFault(leaf: X509Certificate, names: readonly string[]): TlsFault | null {
  if (names.some((name) => leaf.checkHost(name) !== undefined)) return null;
  const reason = `the certificate is not for ${names[0] ?? "anybody"}`;
  return tlsFault("certificate-host-mismatch", reason);
}
