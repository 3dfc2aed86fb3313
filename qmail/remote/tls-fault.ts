/** Why a connection has not the TLS that it should, in the words of RFC 8460 section 4.3. */

/** `result-type` in a report. */
export type TlsFaultType =
  | "starttls-not-supported"
  | "certificate-host-mismatch"
  | "certificate-expired"
  | "certificate-not-trusted"
  | "validation-failure"
  | "tlsa-invalid"
  | "dnssec-invalid"
  | "sts-policy-fetch-error"
  | "sts-policy-invalid"
  | "sts-webpki-invalid";

/** What is wrong. */
export interface TlsFault {
  readonly type: TlsFaultType;
  /** For people. */
  readonly reason: string;
}

/** A fault. */
export function tlsFault(type: TlsFaultType, reason: string): TlsFault {
  return { type, reason };
}
