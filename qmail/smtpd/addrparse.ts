/** Addresses in MAIL and RCPT, read as leniently as qmail-smtpd does (qmail-smtpd(8)). Pure. */

/** Longer addresses are a syntax error. */
const ADDRESS_MAX = 900;

export interface ParsedAddress {
  /** Without quotes, source route and angle brackets; byte string. */
  readonly address: string;
  /** What follows it: the parameters of MAIL and RCPT. */
  readonly rest: string;
}

/** The address in `argument`, as `FROM:<user@host>` or just `user@host`. Null: too long. */
export function parseAddress(argument: string): ParsedAddress | null {
  const open = argument.indexOf("<");
  const terminator = open >= 0 ? ">" : " ";
  let at = open + 1;
  if (open < 0) {
    at = argument.indexOf(":") + 1;
    while (argument[at] === " ") at++;
  }
  // A source route: @one,@two:user@host
  if (argument[at] === "@") {
    const colon = argument.indexOf(":", at);
    at = colon < 0 ? argument.length : colon + 1;
  }
  let address = "";
  let quoted = false;
  for (; at < argument.length; at++) {
    const byte = argument[at] as string;
    if (byte === "\\") address += argument[++at] ?? "";
    else if (byte === '"') quoted = !quoted;
    else if (byte === terminator && !quoted) break;
    else address += byte;
  }
  // NUL ends an address everywhere in the queue.
  if (address.length > ADDRESS_MAX || address.includes("\0")) return null;
  return { address, rest: argument.slice(at + 1).trim() };
}

/** `user@[1.2.3.4]` as `user@host` when the address is one of ours. */
export function replaceOwnAddress(
  address: string,
  { isOwn, host }: { isOwn: (ip: string) => boolean; host: string },
): string {
  const match = /^(.*)@\[([0-9.]+)\]$/s.exec(address);
  return match && isOwn(match[2] as string) ? `${match[1]}@${host}` : address;
}

/** `KEY=VALUE` words behind an address, keys in capitals. */
export function parseParameters(rest: string): Map<string, string> {
  const words = rest.split(" ").filter(Boolean);
  return new Map(
    words.map((word) => {
      const equals = word.indexOf("=");
      const key = equals < 0 ? word : word.slice(0, equals);
      return [key.toUpperCase(), equals < 0 ? "" : word.slice(equals + 1)];
    }),
  );
}
