/** The command line of tcpserver (tcpserver(1), with the letters of ucspi-tcp-ipv6). Pure. */

import { getopt } from "../getopt.ts";

export interface ServerOptions {
  /** 0: say nothing, 1: errors, 2: every connection. */
  readonly verbosity: 0 | 1 | 2;
  /** Programs that run at once. */
  readonly limit: number;
  readonly backlog: number;
  /** The rules file; null: no rules. */
  readonly rules: string | null;
  /** Without a rules file everybody may come. */
  readonly allowNoRules: boolean;
  readonly banner: string;
  /** To be taken when the socket is bound; null: stay. */
  readonly gid: number | null;
  readonly uid: number | null;
  readonly printPort: boolean;
  readonly noDelay: boolean;
  /** What $TCPLOCALHOST is; null: look it up. */
  readonly localHost: string | null;
  readonly lookUpHost: boolean;
  readonly paranoid: boolean;
  readonly askInfo: boolean;
  /** Seconds that IDENT may take. */
  readonly infoTimeout: number;
  /** 4: IPv4 alone; 6: clients are shown as of IPv6 in any case; 0: each as what it is. */
  readonly family: 0 | 4 | 6;
  /** For a link-local address. */
  readonly networkInterface: string | null;
  readonly host: string;
  readonly port: string;
  readonly program: readonly [string, ...string[]];
}

export const USAGE =
  "tcpserver: usage: tcpserver [ -461UXpPhHrRoOdDqQv ] [ -c limit ] [ -x rules.cdb ] [ -B banner ] " +
  "[ -g gid ] [ -u uid ] [ -b backlog ] [ -l localname ] [ -t timeout ] [ -I interface ] host port program";

const LETTERS = "146UXpPhHrRoOdDqQvc:x:B:g:u:b:l:t:I:";

/** What the arguments ask for; null: they are wrong. `env` has UID and GID for -U. */
export function parseServerOptions(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): ServerOptions | null {
  const parsed = getopt(args, LETTERS);
  if (typeof parsed === "string") return null;
  const [host, port, program, ...more] = parsed.rest;
  if (!host || port === undefined || program === undefined) return null;
  const chosen = parsed.options.map(([letter, value]) => SETTINGS[letter]?.(value, env));
  return Object.assign({ ...DEFAULTS, host, port, program: [program, ...more] }, ...chosen);
}

const DEFAULTS: Omit<ServerOptions, "host" | "port" | "program"> = {
  verbosity: 1,
  limit: 40,
  backlog: 20,
  rules: null,
  allowNoRules: false,
  banner: "",
  gid: null,
  uid: null,
  printPort: false,
  noDelay: false,
  localHost: null,
  lookUpHost: true,
  paranoid: false,
  askInfo: true,
  infoTimeout: 26,
  family: 0,
  networkInterface: null,
};

type Setting = (value: string, env: NodeJS.ProcessEnv) => Partial<ServerOptions>;

const SETTINGS: Readonly<Record<string, Setting>> = {
  1: () => ({ printPort: true }),
  4: () => ({ family: 4 }),
  6: () => ({ family: 6 }),
  b: (value) => ({ backlog: number(value) ?? DEFAULTS.backlog }),
  B: (banner) => ({ banner }),
  c: (value) => ({ limit: number(value) ?? DEFAULTS.limit }),
  d: () => ({ noDelay: false }),
  D: () => ({ noDelay: true }),
  g: (value) => ({ gid: id(value) }),
  h: () => ({ lookUpHost: true }),
  H: () => ({ lookUpHost: false }),
  I: (networkInterface) => ({ networkInterface }),
  l: (localHost) => ({ localHost }),
  // Linux refuses source routes from anybody unless told otherwise, so there are no IP options to kill.
  o: () => ({}),
  O: () => ({}),
  p: () => ({ paranoid: true }),
  P: () => ({ paranoid: false }),
  q: () => ({ verbosity: 0 }),
  Q: () => ({ verbosity: 1 }),
  r: () => ({ askInfo: true }),
  R: () => ({ askInfo: false }),
  t: (value) => ({ infoTimeout: number(value) ?? DEFAULTS.infoTimeout }),
  u: (value) => ({ uid: id(value) }),
  U: (_value, { UID = "", GID = "" }) => ({ uid: id(UID), gid: id(GID) }),
  v: () => ({ verbosity: 2 }),
  x: (rules) => ({ rules }),
  X: () => ({ allowNoRules: true }),
};

/** The digits that `text` begins with. */
function number(text: string): number | null {
  const digits = /^\d+/.exec(text)?.[0];
  return digits === undefined ? null : Number(digits);
}

/** 0 is what it was before: to say root is to say nothing. */
function id(text: string): number | null {
  return number(text) || null;
}
