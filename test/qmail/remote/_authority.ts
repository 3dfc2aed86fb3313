/** A certificate authority for tests, made by openssl(1). */

import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** False when openssl(1) is there, else why tests that need it are skipped. */
export const withoutOpenssl: string | false = (() => {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return false;
  } catch {
    return "openssl is not installed";
  }
})();

export interface Issued {
  /** The certificate and the authority's, as a server shows them. */
  readonly cert: string;
  readonly key: string;
  readonly x509: X509Certificate;
}

export interface Authority extends Disposable {
  /** File with the authority's certificate. */
  readonly file: string;
  readonly x509: X509Certificate;
  /** A certificate for `name`, valid for so many days: of a negative number for none. */
  issue(name: string, days?: number): Issued;
}

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

export function makeAuthority(): Authority {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-ca-"));
  const openssl = (...args: string[]) => {
    execFileSync("openssl", args, { stdio: "ignore", cwd: directory });
  };
  const read = (name: string) => readFileSync(join(directory, name), "latin1");
  openssl(
    "req",
    "-x509",
    "-days",
    "7",
    ...KEY,
    "-subj",
    "/CN=Test CA",
    "-keyout",
    "ca.key",
    "-out",
    "ca.crt",
  );
  return {
    file: join(directory, "ca.crt"),
    x509: new X509Certificate(read("ca.crt")),
    issue(name, days = 7) {
      openssl("req", ...KEY, "-subj", `/CN=${name}`, "-keyout", "s.key", "-out", "s.csr");
      writeFileSync(join(directory, "ext"), `subjectAltName=DNS:${name}\n`);
      const signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "ext"];
      openssl("x509", "-req", "-days", String(days), "-in", "s.csr", ...signed, "-out", "s.crt");
      const cert = read("s.crt");
      return { cert: cert + read("ca.crt"), key: read("s.key"), x509: new X509Certificate(cert) };
    },
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}
