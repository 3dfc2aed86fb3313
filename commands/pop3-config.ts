/** The part of the config about POP3, and the command line that it becomes. */

import { resolve } from "node:path";
import { z } from "zod";
import { A_LISTEN, count, flag, listen, oneLine, oneOrMore } from "./config-checks.ts";

export interface Pop3Service {
  /** False: no POP3 service. Default: true, where there is this field. */
  enabled?: boolean;
  /** Where to listen, with TLS by STLS. Default: `":110"`, in a sandbox `"127.0.0.1:2110"`. */
  listen?: string | string[];
  /** Where to listen with TLS at once. Default with a certificate: `":995"`, in a sandbox `"127.0.0.1:2995"`. */
  listenTls?: string | string[];
  /** The certificate with its chain, PEM; relative to this file. */
  certificate?: string;
  /** Its private key, which qmaild must be able to read. */
  key?: string;
  /** Passwords may cross the network for all to read. Needed where there is no certificate. Default: false. */
  withoutTls?: boolean;
  /** Offer APOP, for users whose password is kept as it is (`qmailctl user add --cram`). Default: false. */
  apop?: boolean;
  /** Connections at once; each that has logged in is a process. Default: 200. */
  concurrency?: number;
  /** Connections at once of one client. Default: 20. */
  perClient?: number;
  /** The Maildir in each user's home. Default: `"Maildir"`. */
  maildir?: string;
  /** A checkpassword program with its arguments. Default: the logins of users/password and of the system. */
  checkpassword?: string | string[];
}

/** A checked service: nothing left out. */
export interface Pop3 {
  readonly listen: readonly string[];
  readonly listenTls: readonly string[];
  /** Absolute. */
  readonly certificate: { readonly certificate: string; readonly key: string } | null;
  readonly withoutTls: boolean;
  readonly apop: boolean;
  readonly concurrency: number;
  readonly perClient: number;
  readonly maildir: string;
  readonly checkpassword: readonly string[];
}

const A_TLS = "certificate and key together, or withoutTls: true, or nobody could log in";

/** The check of `services.pop3`. */
export const pop3Schema = z
  .strictObject(
    {
      enabled: flag.optional(),
      listen: oneOrMore(listen, A_LISTEN).optional(),
      listenTls: oneOrMore(listen, A_LISTEN).optional(),
      certificate: oneLine("the path of a certificate").optional(),
      key: oneLine("the path of a private key").optional(),
      withoutTls: flag.optional(),
      apop: flag.optional(),
      concurrency: count("a number of connections, 1 or more").optional(),
      perClient: count("a number of connections, 1 or more").optional(),
      maildir: oneLine("the name of a Maildir").min(1, { error: "a name" }).optional(),
      checkpassword: oneOrMore(
        oneLine("a program").min(1, { error: "a program" }),
        "a program, or a list of it and its arguments",
      ).optional(),
    },
    { error: "the fields of the POP3 service, like listen and certificate" },
  )
  .refine(({ certificate, key }) => (certificate === undefined) === (key === undefined), {
    error: A_TLS,
  })
  .refine(
    ({ enabled, certificate, withoutTls }) => enabled === false || certificate || withoutTls,
    {
      error: A_TLS,
    },
  );

/** The service with everything filled in; null when it is not wanted. `directory` is what its paths are relative to. */
export function completePop3(
  pop3: Pop3Service | undefined,
  { sandbox, directory }: { readonly sandbox: boolean; readonly directory: string },
): Pop3 | null {
  if (!pop3 || pop3.enabled === false) return null;
  const { certificate, key } = pop3;
  const [plain, tls] = sandbox ? ["127.0.0.1:2110", "127.0.0.1:2995"] : [":110", ":995"];
  const files =
    certificate === undefined || key === undefined
      ? null
      : { certificate: resolve(directory, certificate), key: resolve(directory, key) };
  return {
    listen: [pop3.listen ?? plain].flat(),
    listenTls: files ? [pop3.listenTls ?? tls].flat() : [],
    certificate: files,
    withoutTls: pop3.withoutTls ?? false,
    apop: pop3.apop ?? false,
    concurrency: pop3.concurrency ?? 200,
    perClient: pop3.perClient ?? 20,
    maildir: pop3.maildir ?? "Maildir",
    checkpassword: [pop3.checkpassword ?? []].flat(),
  };
}

/** The arguments of the service's program. */
export function pop3Arguments(pop3: Pop3): string[] {
  const { certificate, checkpassword } = pop3;
  return [
    ...pop3.listen.flatMap((at) => ["--listen", at]),
    ...pop3.listenTls.flatMap((at) => ["--listen-tls", at]),
    ...(certificate ? ["--certificate", certificate.certificate, "--key", certificate.key] : []),
    ...(pop3.withoutTls ? ["--without-tls"] : []),
    ...(pop3.apop ? ["--apop"] : []),
    ...["--concurrency", String(pop3.concurrency), "--per-client", String(pop3.perClient)],
    ...["--maildir", pop3.maildir],
    ...(checkpassword.length > 0 ? ["--", ...checkpassword] : []),
  ];
}
