/** Addresses in MAIL and RCPT, read as leniently as qmail-smtpd does (qmail-smtpd(8)). Pure. */

/** C qmail's limit of 900 counts the NUL behind the address. */
const ADDRESS_MAX = 899;

export interface ParsedAddress {
  /** Without quotes, source route and angle brackets; byte string. */
  readonly address: string;
  /** What follows it: the parameters of MAIL and RCPT. */
  readonly rest: string;
}

/**
 * The address in `argument`, as `FROM:<user@host>`, `<user@host>` or `FROM: user@host`. Null when
 * there is none, or it is too long. Whether its bytes are those of an address is the caller's to look (`isAddress`).
 */
export function parseAddress(argument: string): ParsedAddress | null {
  const open = argument.indexOf("<");
  const terminator = open >= 0 ? ">" : " ";
  const start = open >= 0 ? open + 1 : afterColon(argument);
  // C qmail would go on with an empty address, which for MAIL means a bounce.
  if (start === 0) return null;
  let at = skipSourceRoute(argument, start);
  let address = "";
  let quoted = false;
  for (; at < argument.length; at++) {
    const byte = argument[at] as string;
    if (byte === "\\") address += argument[++at] ?? "";
    else if (byte === terminator && !quoted) break;
    else if (byte === '"') quoted = !quoted;
    else address += byte;
  }
  if (address.length > ADDRESS_MAX) return null;
  return { address, rest: argument.slice(at + 1) };
}

function afterColon(argument: string): number {
  const colon = argument.indexOf(":");
  let at = colon + 1;
  while (colon >= 0 && argument[at] === " ") at++;
  return at;
}

/** `@one,@two:user@host` is for user@host. */
function skipSourceRoute(argument: string, at: number): number {
  if (argument[at] !== "@") return at;
  const colon = argument.indexOf(":", at);
  return colon < 0 ? argument.length : colon + 1;
}

export interface OwnAddresses {
  readonly isOwn: (ip: string) => boolean;
  /** What stands for us. */
  readonly host: string;
}

/** `user@[1.2.3.4]` or `user@[IPv6:::1]` as `user@host` when the address is one of ours. */
export function replaceOwnAddress(address: string, { isOwn, host }: OwnAddresses): string {
  const at = address.lastIndexOf("@");
  const ip = literal(at < 0 ? "" : address.slice(at + 1));
  return ip !== null && isOwn(ip) ? address.slice(0, at + 1) + host : address;
}

/** The address in a domain that is one; null for a name. */
function literal(domain: string): string | null {
  const six = /^\[IPv6:([\da-f:.]+)\]$/i.exec(domain)?.[1];
  if (six !== undefined) return six;
  const numbers = /^\[(\d+)\.(\d+)\.(\d+)\.(\d+)\]$/.exec(domain);
  // 010 is 10 here, as it is to C qmail.
  return numbers?.slice(1).map(Number).join(".") ?? null;
}

/** `KEY=VALUE` words behind an address, keys in capitals. */
export function parseParameters(rest: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const word of rest.split(" ")) {
    const equals = word.indexOf("=");
    if (equals < 0) parameters.set(word.toUpperCase(), "");
    else parameters.set(word.slice(0, equals).toUpperCase(), word.slice(equals + 1));
  }
  return parameters;
}
