/** The certificates of a service: read before it gives up root, if it is root, and again by who keeps it. */

import { KeyKeeper } from "./key-keeper.ts";
import { type CertificateFiles, Certificates } from "./tls.ts";

export interface ServiceCertificatesOptions {
  /** We are root, and shall not be for long. */
  readonly root: boolean;
  warn(text: string): void;
}

/** Null: the service has none. Throws an Error for a person when they cannot be read. */
export function serviceCertificates(
  files: readonly CertificateFiles[],
  { root, warn }: ServiceCertificatesOptions,
): Certificates | null {
  if (files.length === 0) return null;
  if (!root) {
    const user = { name: `uid ${process.geteuid?.()}`, group: String(process.getegid?.()) };
    return new Certificates({ files, user, warn });
  }
  const paths = files.flatMap(({ certificate, key }) => [certificate, key]);
  // Without it a certificate would run out unseen: we leave, and are started again whole.
  const keeper = new KeyKeeper(paths, () => process.kill(process.pid, "SIGTERM"));
  return new Certificates({ files, user: { name: "root", group: "root" }, keeper, warn });
}
