/** The part of the config about mail to other hosts, and the control files that it becomes. */

import { isIP } from "node:net";
import { z } from "zod";
import { parseDnsServers } from "../qmail/dns/resolv-conf.ts";
import { MECHANISMS } from "../qmail/remote/auth.ts";
import { flag } from "./config-checks.ts";

/** How mail for a destination is handed over. */
export interface Destination {
  /**
   * TLS: `"none"`, `"may"` (with whoever offers it), `"require"` (encrypted, whoever it is), `"verify"` (with a certificate of
   * a known authority for the server's name). Default: `"verify"` with `auth`; else what the domain asks for by DANE or MTA-STS, else `"may"`.
   */
  tls?: "none" | "may" | "require" | "verify";
  /** The name that the certificate must have. Default: the server's. */
  name?: string;
  /** PEM file of the authorities to believe, in place of the system's. */
  ca?: string;
  /** PEM file with our certificate and key. */
  cert?: string;
  /**
   * Name of a `name:user:password` line in control/remoteauth, a file with mode 600 that qmailr owns. The password goes over
   * verified TLS alone, unless `tls: "require"` asks for less.
   */
  auth?: string;
  /** The password may go over any connection, in the clear too: for a relay on this machine or a network of your own. */
  authWithoutTls?: boolean;
  /** Ways to log in, in the order in which they are tried: `"plain"`, `"login"`, `"cram-md5"`. Default: all that the server offers. */
  mechanisms?: string[];
  /** EHLO keywords of the server that count as not offered, as `"PIPELINING"`. */
  ignore?: string[];
  /** Our address to connect from. */
  bind?: string;
  /** Our name to greet with. Default: control/helohost, else the host. */
  helo?: string;
  /** Connections at once. Default: 20. */
  concurrency?: number;
  /** Messages in a time: `"10/s"`, `"300/m"`, `"5000/h"`. Default: no limit. */
  rate?: string;
  /** Recipients of one message in one transaction. Default: 1, as qmail does it. */
  recipients?: number;
  /** Messages over one connection. Default: 100. */
  reuse?: number;
  /** What to do with 8-bit text where the server does not offer 8BITMIME. Default: `"send"`, as qmail does. */
  eightBit?: "send" | "refuse";
}

export interface Remote {
  /**
   * By recipients' domain (`".example.com"` for all below, `""` for all), or by senders' domain
   * (`"@example.com"`); control/remoteoptions.
   */
  destinations?: Record<string, Destination>;
  /** Relays by sender, a domain or a whole address; control/senderroutes. */
  senderRoutes?: Record<string, string>;
  /** Name servers, `"127.0.0.1"`, `"[::1]:53"`; `"trust-ad"` to believe what they say of DNSSEC. Default: the system's. */
  nameServers?: string[];
  /** The domain for sender rewriting (SRS) of mail that is passed on. Default: no rewriting. */
  srsDomain?: string;
}

const TLS = ["none", "may", "require", "verify"] as const;
const A_TLS = `one of ${TLS.join(", ")}`;
const A_WORD = "text without spaces";
const A_COUNT = "a whole number, 1 or more";
const A_RATE = 'a number of messages in a second, minute or hour, like "10/s", "300/m", "5000/h"';
const A_SERVER = 'an address, like "127.0.0.1" or "[::1]:53", or "trust-ad"';
const A_WAY = `one of ${MECHANISMS.map((name) => name.toLowerCase()).join(", ")}`;
const A_KEYWORD = 'an EHLO keyword, like "PIPELINING"';
const A_DOMAIN = 'a domain, like "srs.example.com"';

const word = z.string({ error: A_WORD }).regex(/^[^\s:][^\s]*$/, { error: A_WORD });
const count = z.number({ error: A_COUNT }).int({ error: A_COUNT }).min(1, { error: A_COUNT });

const destination = z.strictObject(
  {
    tls: z.enum(TLS, { error: A_TLS }).optional(),
    name: word.optional(),
    ca: word.optional(),
    cert: word.optional(),
    auth: word.optional(),
    authWithoutTls: flag.optional(),
    mechanisms: z
      .array(z.string({ error: A_WAY }).refine(isWay, { error: A_WAY }), {
        error: `a list, each ${A_WAY}`,
      })
      .min(1, { error: `a list, each ${A_WAY}` })
      .optional(),
    ignore: z
      .array(z.string({ error: A_KEYWORD }).regex(/^[a-z0-9-]+$/i, { error: A_KEYWORD }), {
        error: `a list, each ${A_KEYWORD}`,
      })
      .min(1, { error: `a list, each ${A_KEYWORD}` })
      .optional(),
    bind: z
      .string({ error: "an address" })
      .refine((text) => isIP(text) !== 0, { error: "an address" })
      .optional(),
    helo: word.optional(),
    concurrency: count.optional(),
    rate: z
      .string({ error: A_RATE })
      .regex(/^[1-9]\d{0,6}\/[smh]$/, { error: A_RATE })
      .optional(),
    recipients: count.optional(),
    reuse: count.optional(),
    eightBit: z.enum(["send", "refuse"], { error: 'one of "send", "refuse"' }).optional(),
  },
  { error: "options of a destination" },
);

/** The check of the field `remote`. */
export const remoteSchema = z.strictObject(
  {
    destinations: z
      .record(z.string().regex(/^[^\s]*$/, { error: A_WORD }), destination, {
        error: "domains with their options",
      })
      .optional(),
    senderRoutes: z
      .record(word, z.string({ error: "a relay" }), { error: "senders with their relays" })
      .optional(),
    nameServers: z
      .array(z.string({ error: A_SERVER }).refine(isServer, { error: A_SERVER }), {
        error: `a list, each ${A_SERVER}`,
      })
      .optional(),
    srsDomain: z
      .string({ error: A_DOMAIN })
      .regex(/^[a-z0-9][a-z0-9.-]*\.[a-z0-9-]+$/i, { error: A_DOMAIN })
      .optional(),
  },
  { error: "the fields destinations, senderRoutes, nameServers, srsDomain" },
);

function isWay(text: string): boolean {
  return MECHANISMS.includes(text.toUpperCase());
}

function isServer(text: string): boolean {
  try {
    parseDnsServers([text]);
    return true;
  } catch {
    return false;
  }
}

/** The control files for `remote`, by name. */
export function remoteControls(remote: Remote): Record<string, string[]> {
  const { destinations, senderRoutes, nameServers, srsDomain } = remote;
  return {
    ...(destinations ? { remoteoptions: Object.entries(destinations).map(optionsLine) } : {}),
    ...(senderRoutes
      ? { senderroutes: Object.entries(senderRoutes).map(([from, relay]) => `${from}:${relay}`) }
      : {}),
    ...(nameServers ? { dnsservers: nameServers } : {}),
    ...(srsDomain === undefined ? {} : { srsdomain: [srsDomain] }),
  };
}

function optionsLine([pattern, options]: [string, Destination]): string {
  const words = Object.entries(options).flatMap(([key, value]) => {
    if (value === undefined || value === false) return [];
    return value === true ? [key.toLowerCase()] : [`${key === "eightBit" ? "8bit" : key}=${value}`];
  });
  return `${pattern}:${words.join(" ")}`;
}
