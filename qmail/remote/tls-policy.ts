/** How much TLS a connection must have, and whether it has it. */

import { X509Certificate } from "node:crypto";
import type { DetailedPeerCertificate, PeerCertificate, TLSSocket } from "node:tls";
import type { Tlsa } from "../dns/message.ts";
import { daneFault } from "./dane.ts";
import { type TlsFault, tlsFault } from "./tls-fault.ts";

/** Who decided; said in the log. */
export type TlsSource = "default" | "route" | "DANE" | "MTA-STS";

export type TlsPolicy = {
  readonly source: TlsSource;
} /** `why`: what has become of it, for the report. */ & (
  | { readonly mode: "none"; readonly why?: string }
  /** With whoever offers it; in the clear otherwise, or when it does not work. */
  | { readonly mode: "may" }
  /** As `may`; what `verify` would have said is counted and reported. `fault` is known beforehand. */
  | { readonly mode: "test"; readonly names: readonly string[]; readonly fault: TlsFault | null }
  /** Encrypted, whoever is at the other end. */
  | { readonly mode: "require" }
  /** With a certificate that a known authority has given to one of `names` (`.x.test`: one label below x.test). */
  | { readonly mode: "verify"; readonly names: readonly string[] }
  /** With a certificate that these records vouch for. */
  | { readonly mode: "dane"; readonly tlsa: readonly Tlsa[]; readonly names: readonly string[] }
);

/** What a policy wants, and who decided it: "a certificate for mx.example.com (MTA-STS)". */
export function policyText(policy: TlsPolicy): string {
  return `${wantText(policy)} (${policy.source})`;
}

function wantText(policy: TlsPolicy): string {
  switch (policy.mode) {
    case "none":
      return "none";
    case "may":
      return "if offered";
    case "test":
      return `if offered; a policy under test wants a certificate for ${policy.names.join(" or ")}`;
    case "require":
      return "required";
    case "verify":
      return `required, with a certificate for ${policy.names.join(" or ")}`;
    case "dane":
      return "required, with a certificate that the TLSA records name";
  }
}

/** True when mail goes without TLS rather than not at all. */
export function isOptional({ mode }: TlsPolicy): boolean {
  return mode === "none" || mode === "may" || mode === "test";
}

/** What TLS came to, for the report: "TLSv1.3 TLS_AES_256_GCM_SHA384, verified (DANE)". */
export function tlsText(socket: TLSSocket, policy: TlsPolicy, fault: TlsFault | null): string {
  const asked = policy.mode === "verify" || policy.mode === "dane" || policy.mode === "test";
  const verified = asked && !fault ? "verified" : "not verified";
  return `${socket.getProtocol()} ${socket.getCipher().name}, ${verified} ${decidedBy(policy, fault)}`;
}

/** Why there is no TLS, for the report; null when nobody asked for any. */
export function noTlsText(policy: TlsPolicy, fault: TlsFault): string | null {
  return policy.mode === "test" ? `none ${decidedBy(policy, policy.fault ?? fault)}` : null;
}

function decidedBy({ source, mode }: TlsPolicy, fault: TlsFault | null): string {
  if (mode !== "test") return `(${source})`;
  return fault ? `(${source} testing: ${fault.reason})` : `(${source} testing)`;
}

/** Null when the other end is whom `policy` wants; else what is wrong. `now` in milliseconds. */
export function peerFault(socket: TLSSocket, policy: TlsPolicy, now: number): TlsFault | null {
  if (policy.mode === "dane") {
    const { names } = policy;
    return daneFault(policy.tlsa, peerChain(socket), { names, now });
  }
  if (policy.mode !== "verify" && policy.mode !== "test") return null;
  if (policy.mode === "test" && policy.fault) return policy.fault;
  // Names are looked at below: what is left is whether a known authority vouches for the chain.
  if (!socket.authorized) {
    const why = authorizationText(socket);
    const type = why === "cert has expired" ? "certificate-expired" : "certificate-not-trusted";
    return tlsFault(type, `the certificate is not trusted: ${why}`);
  }
  const [leaf] = peerChain(socket);
  if (leaf && policy.names.some((name) => hasName(leaf, name))) return null;
  const reason = `the certificate is not for ${policy.names.join(" or ")}`;
  return tlsFault("certificate-host-mismatch", reason);
}

/** The certificates that the server has shown, its own first. */
function peerChain(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next: DetailedPeerCertificate | PeerCertificate | null = socket.getPeerCertificate(true);
  const seen = new Set<string>();
  // The last one's issuer is itself.
  while (next?.raw && !seen.has(next.fingerprint256)) {
    seen.add(next.fingerprint256);
    chain.push(new X509Certificate(next.raw));
    next = "issuerCertificate" in next ? next.issuerCertificate : null;
  }
  return chain;
}

function hasName(cert: X509Certificate, name: string): boolean {
  if (!name.startsWith(".")) return cert.checkHost(name) !== undefined;
  const below = name.toLowerCase();
  return dnsNames(cert).some((each) => {
    const lower = each.toLowerCase();
    return lower.endsWith(below) && lower.indexOf(".") === lower.length - below.length;
  });
}

function dnsNames(cert: X509Certificate): string[] {
  const names = cert.subjectAltName?.split(", ") ?? [];
  return names.filter((name) => name.startsWith("DNS:")).map((name) => name.slice(4));
}

function authorizationText({ authorizationError }: TLSSocket): string {
  return String(authorizationError).toLowerCase().replaceAll("_", " ");
}
