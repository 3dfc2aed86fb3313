/** The part of the config about certificates, and the options that it becomes. */

import { resolve } from "node:path";
import { z } from "zod";
import { oneLine } from "./config-checks.ts";

/** A certificate with its chain, and its key; PEM files, relative to the config file. Root reads them. */
export interface Certificate {
  certificate: string;
  key: string;
}

export const A_CERTIFICATE =
  'PEM files, like { certificate: "/etc/ssl/mail.crt", key: "/etc/ssl/mail.key" }';

/** The check of one certificate. */
export const certificateSchema = z.strictObject(
  {
    certificate: oneLine("a path").min(1, { error: "a path" }),
    key: oneLine("a path").min(1, { error: "a path" }),
  },
  { error: A_CERTIFICATE },
);

/** With paths that do not depend on where we are; `directory` is where the config file is. */
export function absoluteCertificate(
  { certificate, key }: Certificate,
  directory: string,
): Certificate {
  return { certificate: resolve(directory, certificate), key: resolve(directory, key) };
}

/** The options of a door that knows TLS. */
export function certificateArguments(certificates: readonly Readonly<Certificate>[]): string[] {
  return certificates.flatMap(({ certificate, key }) => {
    return ["--certificate", certificate, "--key", key];
  });
}
