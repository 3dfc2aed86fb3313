/** Certificates for tests, made by openssl(1). */

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import type { CertificateFiles } from "../../qmail/net/tls.ts";

/** False when openssl(1) is there, else why tests that need it are skipped. */
export const withoutOpenssl: string | false = (() => {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return false;
  } catch {
    return "openssl is not installed";
  }
})();

/** A certificate for `name` that nobody has signed, and its key, in files below `directory`. */
export function makeCertificate(directory: string, name: string, base = name): CertificateFiles {
  const certificate = join(directory, `${base}.crt`);
  const key = join(directory, `${base}.key`);
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const subject = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name}`];
  const files = ["-keyout", key, "-out", certificate];
  execFileSync("openssl", ["req", "-x509", "-days", "7", ...curve, ...subject, ...files], {
    stdio: "ignore",
  });
  return { certificate, key };
}
