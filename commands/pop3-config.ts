/** The part of the config about POP3, and the command line that it becomes. */

import { z } from "zod";
import { A_LISTEN, count, flag, listen, oneLine, oneOrMore } from "./config-checks.ts";
import { absoluteCertificate, type Certificate, certificateArguments } from "./tls-config.ts";

export interface Pop3Service {
  /** False: no POP3 service. Default: true, where there is this field. */
  enabled?: boolean;
  /** Where to listen, with TLS by STLS. Default: `":110"`, in a sandbox `"127.0.0.1:2110"`. */
  listen?: string | string[];
  /** Where to listen with TLS at once. Default with a certificate: `":995"`, in a sandbox `"127.0.0.1:2995"`. */
  listenTls?: string | string[];
  /** The certificate with its chain, PEM; relative to this file. Default: `tls`. */
  certificate?: string;
  /** Its private key, which root reads. */
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
  /** Paths are absolute. */
  readonly certificates: readonly Readonly<Certificate>[];
  readonly withoutTls: boolean;
  readonly apop: boolean;
  readonly concurrency: number;
  readonly perClient: number;
  readonly maildir: string;
  readonly checkpassword: readonly string[];
}

const A_PAIR = "certificate and key together";
export const A_POP3_TLS = "tls for all services or certificate and key; or withoutTls: true";

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
    error: A_PAIR,
  });

/** Whether somebody could log in. */
export function canLogIn(pop3: z.infer<typeof pop3Schema> | undefined, tls: boolean): boolean {
  if (!pop3 || pop3.enabled === false || pop3.withoutTls) return true;
  return tls || pop3.certificate !== undefined;
}

/** The certificate of this service alone, with absolute paths; null: it has none. */
export function ownCertificate(
  { certificate, key }: Pop3Service,
  directory: string,
): Certificate | null {
  if (certificate === undefined || key === undefined) return null;
  return absoluteCertificate({ certificate, key }, directory);
}

/** The service with everything filled in; null when it is not wanted. `tls` are its certificates. */
export function completePop3(
  pop3: Pop3Service | undefined,
  { sandbox, tls }: { readonly sandbox: boolean; readonly tls: readonly Certificate[] },
): Pop3 | null {
  if (!pop3 || pop3.enabled === false) return null;
  const [plain, atOnce] = sandbox ? ["127.0.0.1:2110", "127.0.0.1:2995"] : [":110", ":995"];
  return {
    listen: [pop3.listen ?? plain].flat(),
    listenTls: tls.length > 0 ? [pop3.listenTls ?? atOnce].flat() : [],
    certificates: tls,
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
  const { certificates, checkpassword } = pop3;
  return [
    ...pop3.listen.flatMap((at) => ["--listen", at]),
    ...pop3.listenTls.flatMap((at) => ["--listen-tls", at]),
    ...certificateArguments(certificates),
    ...(pop3.withoutTls ? ["--without-tls"] : []),
    ...(pop3.apop ? ["--apop"] : []),
    ...["--concurrency", String(pop3.concurrency), "--per-client", String(pop3.perClient)],
    ...["--maildir", pop3.maildir],
    ...(checkpassword.length > 0 ? ["--", ...checkpassword] : []),
  ];
}
