/** The command line of the POP3 service. Pure. */

import { parseArgs } from "node:util";
import { type ListenAddress, parseListen } from "../net/address.ts";
import type { CertificateFiles } from "../net/tls.ts";

const USAGE = `usage: qmail-popup hostname subprogram ...
       qmail-popup [options] [checkpassword program ...]
  --listen HOST:PORT, --listen-tls HOST:PORT   where to listen, with TLS by STLS or at once
  --concurrency N, --per-client N              connections at once, in all and of one client
  --certificate FILE --key FILE                for TLS; several pairs for several names
  --without-tls                                passwords may cross the network for all to read
  --apop                                       offer APOP
  --maildir NAME                               the Maildir in each home (Maildir)`;

export interface Pop3Address extends ListenAddress {
  /** TLS from the first byte. */
  readonly tls: boolean;
}

export interface Pop3Options {
  readonly listen: readonly Pop3Address[];
  readonly concurrency: number;
  readonly perClient: number;
  readonly certificates: readonly CertificateFiles[];
  readonly withoutTls: boolean;
  readonly apop: boolean;
  readonly maildir: string;
  /** A checkpassword program with its arguments; none: the logins of this installation. */
  readonly command: readonly string[];
}

/** The command line makes no sense. */
export class UsageError extends Error {
  readonly usage = true;

  constructor(message: string) {
    super(`${message}\n${USAGE}`);
  }
}

/** The options in `args`. Throws UsageError. */
export function parseOptions(args: string[]): Pop3Options {
  const { values, positionals } = parse(args);
  const certificates = pairs(values.certificate, values.key);
  const listen = [
    ...values.listen.map((text) => ({ ...address(text), tls: false })),
    ...values["listen-tls"].map((text) => ({ ...address(text), tls: true })),
  ];
  if (listen.length === 0) throw new UsageError("--listen or --listen-tls is missing");
  if (certificates.length === 0 && listen.some(({ tls }) => tls)) {
    throw new UsageError("--listen-tls needs --certificate and --key");
  }
  if (certificates.length === 0 && !values["without-tls"]) {
    throw new UsageError("nobody could log in: give --certificate and --key, or --without-tls");
  }
  return {
    listen,
    concurrency: count("--concurrency", values.concurrency),
    perClient: count("--per-client", values["per-client"]),
    certificates,
    withoutTls: values["without-tls"],
    apop: values.apop,
    maildir: values.maildir,
    command: positionals,
  };
}

function parse(args: string[]) {
  // What stands behind the first word that is no option belongs to the program.
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        listen: { type: "string", multiple: true, default: [] },
        "listen-tls": { type: "string", multiple: true, default: [] },
        concurrency: { type: "string", default: "200" },
        "per-client": { type: "string", default: "20" },
        certificate: { type: "string", multiple: true, default: [] },
        key: { type: "string", multiple: true, default: [] },
        "without-tls": { type: "boolean", default: false },
        apop: { type: "boolean", default: false },
        maildir: { type: "string", default: "Maildir" },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function address(text: string): ListenAddress {
  const parsed = parseListen(text);
  if (!parsed) throw new UsageError(`"${text}" is no address and port`);
  return parsed;
}

function count(name: string, text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number > 0) return number;
  throw new UsageError(`${name} needs a number, not "${text}"`);
}

function pairs(certificates: readonly string[], keys: readonly string[]): CertificateFiles[] {
  if (certificates.length !== keys.length) {
    throw new UsageError("each --certificate needs its --key");
  }
  return certificates.map((certificate, at) => ({ certificate, key: keys[at] ?? "" }));
}
