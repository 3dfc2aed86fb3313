/**
 * control/remoteoptions: how mail for a domain, or from one, is to be handed over. Pure.
 *
 *     :tls=may concurrency=20
 *     .example.com:tls=verify recipients=50
 *     relay.example.net:auth=relay name=mail.example.net
 *     @news.example.org:bind=192.0.2.7 helo=news.example.org
 *
 * What stands before the colon is matched as in smtproutes against the recipient's domain; with an @
 * against the sender's. What is said of a narrower pattern goes over what is said of a wider one, and what is
 * said of the sender over both.
 *
 * `mechanisms=plain,login` says which ways to log in are tried, and in which order; `ignore=pipelining,size` which EHLO keywords count as
 * not offered.
 *
 * A password goes over verified TLS alone: `auth` means tls=verify, unless tls=require asks for less, or
 * `authwithouttls` for nothing.
 */

import { isIP } from "node:net";
import { MECHANISMS } from "./auth.ts";

export type TlsMode = "none" | "may" | "require" | "verify";

export interface RemoteOptions {
  readonly tls: TlsMode;
  /** The policy was asked for, not the default: then DANE and MTA-STS are not asked. */
  readonly tlsAsked: boolean;
  /** The name that the certificate must have with tls=verify; the server's own when absent. */
  readonly name?: string;
  /** File with authorities, in place of the system's. */
  readonly ca?: string;
  /** File with our certificate and its key. */
  readonly cert?: string;
  /** Name of the credentials in control/remoteauth. */
  readonly auth?: string;
  /** Ways to log in, in the order in which they are tried; all that are known when absent. */
  readonly mechanisms?: readonly string[];
  /** EHLO keywords, in capitals, that count as not offered. */
  readonly ignore?: readonly string[];
  /** The password may go over any connection. */
  readonly authWithoutTls: boolean;
  /** Our address. */
  readonly bind?: string;
  readonly helo?: string;
  /** Connections at once. */
  readonly concurrency: number;
  /** Messages in so many milliseconds; null: no limit. */
  readonly rate: { readonly count: number; readonly ms: number } | null;
  /** Recipients of one message in one transaction. */
  readonly recipients: number;
  /** Messages over one connection. */
  readonly reuse: number;
  readonly eightBit: "send" | "refuse";
}

/** What holds without the file. */
export const DEFAULT_OPTIONS: RemoteOptions = {
  tls: "may",
  tlsAsked: false,
  authWithoutTls: false,
  concurrency: 20,
  rate: null,
  recipients: 1,
  reuse: 100,
  eightBit: "send",
};

type Parsed = Partial<RemoteOptions>;

const TLS_MODES: readonly TlsMode[] = ["none", "may", "require", "verify"];
const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 };

const KEYS: Readonly<Record<string, (value: string) => Parsed | null>> = {
  tls: (value) => {
    const tls = TLS_MODES.find((mode) => mode === value);
    return tls ? { tls, tlsAsked: true } : null;
  },
  name: (name) => ({ name }),
  ca: (ca) => ({ ca }),
  cert: (cert) => ({ cert }),
  auth: (auth) => ({ auth }),
  mechanisms: (value) => {
    const mechanisms = value.toUpperCase().split(",");
    return mechanisms.every((name) => MECHANISMS.includes(name)) ? { mechanisms } : null;
  },
  ignore: (value) => {
    const ignore = value.toUpperCase().split(",");
    return ignore.every((keyword) => /^[A-Z0-9-]+$/.test(keyword)) ? { ignore } : null;
  },
  bind: (bind) => (isIP(bind) ? { bind } : null),
  helo: (helo) => ({ helo }),
  concurrency: (value) => whole("concurrency", value),
  recipients: (value) => whole("recipients", value),
  reuse: (value) => whole("reuse", value),
  "8bit": (value) => (value === "send" || value === "refuse" ? { eightBit: value } : null),
  rate: (value) => {
    const match = /^([1-9]\d{0,6})\/([smh])$/.exec(value);
    return match
      ? { rate: { count: Number(match[1]), ms: UNIT_MS[match[2] as string] as number } }
      : null;
  },
};

/** Options without a value. */
const FLAGS: Readonly<Record<string, Parsed>> = {
  authwithouttls: { authWithoutTls: true },
};

/** The options that there are, as they are written. */
export const OPTION_NAMES: readonly string[] = [...Object.keys(KEYS), ...Object.keys(FLAGS)];

function whole(name: "concurrency" | "recipients" | "reuse", value: string): Parsed | null {
  return /^[1-9]\d{0,4}$/.test(value) ? { [name]: Number(value) } : null;
}

export class RemoteOptionsTable {
  readonly #patterns: ReadonlyMap<string, Parsed>;

  /** `lines` of control/remoteoptions. Throws an Error that names the line and what is wrong in it. */
  constructor(lines: readonly string[]) {
    this.#patterns = new Map(lines.map(parseLine));
  }

  /** What holds for a message from `sender` to `host`. */
  find(sender: string, host: string): RemoteOptions {
    const from = sender.slice(sender.lastIndexOf("@") + 1);
    const found = [
      ...[...suffixes(host)].reverse(),
      ...(sender === "" ? [] : [...suffixes(from)].reverse().map((suffix) => `@${suffix}`)),
    ].map((pattern) => this.#patterns.get(pattern.toLowerCase()));
    return settled(Object.assign({}, DEFAULT_OPTIONS, ...found));
  }
}

function settled(options: RemoteOptions): RemoteOptions {
  const { auth, authWithoutTls, tls } = options;
  if (auth === undefined || authWithoutTls || tls === "require") return options;
  return { ...options, tls: "verify", tlsAsked: true };
}

/** `a.b`, `.b`, and the empty one: the whole, then what follows each dot with it, then everything. */
function* suffixes(domain: string): Generator<string> {
  for (let from = 0; from >= 0; from = domain.indexOf(".", from + 1)) yield domain.slice(from);
  yield "";
}

function parseLine(line: string): [string, Parsed] {
  const colon = line.startsWith("[") ? line.indexOf(":", line.indexOf("]")) : line.indexOf(":");
  if (colon < 0) throw new Error(`cannot read control/remoteoptions: "${line}" has no colon`);
  const options = line
    .slice(colon + 1)
    .split(/[ \t]+/)
    .filter(Boolean)
    .map((word) => parseOption(word, line));
  return [line.slice(0, colon).toLowerCase(), Object.assign({}, ...options)];
}

function parseOption(word: string, line: string): Parsed {
  const flag = Object.hasOwn(FLAGS, word) ? FLAGS[word] : undefined;
  if (flag) return flag;
  const equals = word.indexOf("=");
  const key = equals < 0 ? word : word.slice(0, equals);
  const parse = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined;
  const allowed = OPTION_NAMES.join(", ");
  if (!parse) {
    throw new Error(
      `cannot read control/remoteoptions: "${key}" in "${line}" is no option; there is: ${allowed}`,
    );
  }
  const parsed = equals < 0 ? null : parse(word.slice(equals + 1));
  if (!parsed) {
    throw new Error(
      `cannot read control/remoteoptions: "${word}" in "${line}" has no value of use`,
    );
  }
  return parsed;
}
