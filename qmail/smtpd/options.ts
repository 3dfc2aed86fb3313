/** The command line of qmail-smtpd. Pure. */

import { BlockList, isIP } from "node:net";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { parseListen } from "../net/address.ts";
import type { CertificateFiles } from "../net/tls.ts";
import type { SmtpAddress } from "./server.ts";
import type { StoreOptions } from "./store.ts";

export const USAGE = `usage: qmail-smtpd [options] [checkpassword program ...]
  without --listen: one session on descriptors 0 and 1
  --listen HOST:PORT, --listen-tls HOST:PORT   where to listen, with TLS by STARTTLS or at once
  --concurrency N, --per-client N              connections at once, in all and of one client
  --relay-from ADDRESS[/BITS],...              clients that may send to any domain
  --rules FILE                                 rules about clients, compiled by tcprules
  --certificate FILE --key FILE                for TLS; several pairs for several names
  --submission                                 mail of users: they must log in
  --any-sender                                 they may send from addresses that are not theirs
  --auth-without-tls                           passwords may cross the network for all to read
  --logins                                     AUTH for the site's logins, without a program
  --cram, --scram                              offer CRAM-MD5, SCRAM-SHA-256: for sites where all
                                               have what these need`;

const CONCURRENCY = "1000";
const PER_CLIENT = "100";

/** The command line makes no sense. */
export class UsageError extends Error {}

export interface SmtpdOptions {
  readonly listen: readonly SmtpAddress[];
  readonly concurrency: number;
  readonly perClient: number;
  readonly relayFrom: BlockList;
  /** The cdb of the rules about clients (tcprules(1)), relative to the qmail home; null: none are looked for. */
  readonly rules: string | null;
  readonly certificates: readonly CertificateFiles[];
  readonly submission: { readonly ownSenders: boolean } | null;
  /** Null: no AUTH. */
  readonly auth: (StoreOptions & { readonly withoutTls: boolean }) | null;
}

/** The options in `args`. Throws UsageError. */
export function parseOptions(args: string[]): SmtpdOptions {
  const { values, positionals } = parse(args);
  const certificates = pairs(values.certificate, values.key);
  const listenTls = values["listen-tls"].map((text) => ({ ...address(text), tls: true }));
  if (listenTls.length > 0 && certificates.length === 0) {
    throw new UsageError("--listen-tls needs --certificate and --key");
  }
  const command = positionals.length > 0 ? positionals : null;
  if (values.submission && !command && !values.logins) {
    throw new UsageError("--submission needs --logins or a checkpassword program");
  }
  if (values.logins && command) throw new UsageError("--logins and a program exclude each other");
  if (values.scram && command) throw new UsageError("no checkpassword program knows --scram");
  const { cram, scram } = values;
  const store = { command, cram, scram, withoutTls: values["auth-without-tls"] };
  return {
    listen: [...values.listen.map((text) => ({ ...address(text), tls: false })), ...listenTls],
    concurrency: count("--concurrency", values.concurrency),
    perClient: count("--per-client", values["per-client"]),
    relayFrom: relayFrom(values["relay-from"]),
    rules: values.rules ?? null,
    certificates,
    submission: values.submission ? { ownSenders: !values["any-sender"] } : null,
    auth: command || values.logins ? store : null,
  };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        listen: { type: "string", multiple: true, default: [] },
        "listen-tls": { type: "string", multiple: true, default: [] },
        concurrency: { type: "string", default: CONCURRENCY },
        "per-client": { type: "string", default: PER_CLIENT },
        "relay-from": { type: "string", default: "" },
        rules: { type: "string" },
        certificate: { type: "string", multiple: true, default: [] },
        key: { type: "string", multiple: true, default: [] },
        submission: { type: "boolean", default: false },
        "any-sender": { type: "boolean", default: false },
        "auth-without-tls": { type: "boolean", default: false },
        logins: { type: "boolean", default: false },
        scram: { type: "boolean", default: false },
        cram: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function address(text: string) {
  const parsed = parseListen(text);
  if (!parsed) throw new UsageError(`"${text}" is no address and port`);
  return parsed;
}

function count(option: string, text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 1) return number;
  throw new UsageError(`"${text}" is no number of connections (${option})`);
}

function pairs(certificates: readonly string[], keys: readonly string[]): CertificateFiles[] {
  if (certificates.length !== keys.length) {
    throw new UsageError("each --certificate needs its --key");
  }
  return certificates.map((certificate, at) => {
    return { certificate: resolve(certificate), key: resolve(keys[at] as string) };
  });
}

function relayFrom(text: string): BlockList {
  const allowed = parseRelayFrom(text);
  if (!allowed) throw new UsageError(`"${text}" is no list of addresses`);
  return allowed;
}

/** Addresses and networks separated by commas; null when one is none. */
export function parseRelayFrom(text: string): BlockList | null {
  const allowed = new BlockList();
  for (const entry of text.split(",").filter(Boolean)) {
    const [, ip = "", bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(entry) ?? [];
    const version = isIP(ip);
    if (version === 0 || Number(bits ?? 0) > (version === 6 ? 128 : 32)) return null;
    const type = version === 6 ? "ipv6" : "ipv4";
    if (bits === undefined) allowed.addAddress(ip, type);
    else allowed.addSubnet(ip, Number(bits), type);
  }
  return allowed;
}
