/**
 * Completing addresses (qmail-inject(8), qmail-header(5); C qmail: the rw functions of qmail-inject.c):
 * a source route goes, a missing host name is added, and a host name without dots or with a plus
 * sign at its end becomes a full one.
 */

import type { ByteEnv } from "../arguments.ts";
import type { Control } from "../control/control.ts";
import { type Token, tokenise, word } from "./token822.ts";

/** What is added to addresses, as tokens: `@host`, `.domain`, `.domain`. */
export interface Domains {
  readonly defaultHost: readonly Token[];
  readonly defaultDomain: readonly Token[];
  readonly plusDomain: readonly Token[];
}

const SOURCES = [
  ["defaultHost", "@", "defaulthost", "QMAILDEFAULTHOST"],
  ["defaultDomain", ".", "defaultdomain", "QMAILDEFAULTDOMAIN"],
  ["plusDomain", ".", "plusdomain", "QMAILPLUSDOMAIN"],
] as const;

/** The domains that the environment or else the control files name; a string says what is wrong with them. */
export function readDomains(control: Control, env: ByteEnv): Domains | string {
  const domains = { defaultHost: [], defaultDomain: [], plusDomain: [] } as Record<
    keyof Domains,
    readonly Token[]
  >;
  for (const [key, before, file, variable] of SOURCES) {
    const text = before + (env[variable] ?? control.lineOr(file, true, file));
    const tokens = tokenise(text);
    if (tokens === null) return `unable to parse this line:\n${text}`;
    domains[key] = tokens;
  }
  return domains;
}

/** The complete form of `address`; null when it is no address at all. */
export function rewriteAddress(address: readonly Token[], domains: Domains): Token[] | null {
  const comments = address.filter((token) => token.type === "comment");
  let tokens: readonly Token[] = address.filter((token) => token.type !== "comment");
  if (tokens.some(({ text }) => text.includes("\0"))) return null;
  if (!isFinal(tokens)) {
    tokens = withoutRoute(tokens);
    tokens = withoutTail(tokens);
    if (tokens.length === 0 || tokens.some(({ type }) => /[<>,;:]/.test(type))) return null;
    tokens = withHost(tokens, domains);
  }
  return [...tokens, ...comments];
}

/** `<>`, and `x@[]` as in #@[] and VERPs, stay as they are. */
function isFinal(tokens: readonly Token[]): boolean {
  const last = tokens.at(-1);
  return !last || (last.type === "literal" && last.text === "" && tokens.at(-2)?.type === "@");
}

/** `tokens` without a route, `@first,@second:`; a route without an address is nothing. */
export function withoutRoute(tokens: readonly Token[]): readonly Token[] {
  if (tokens[0]?.type !== "@") return tokens;
  const colon = tokens.findIndex((token) => token.type === ":");
  return colon < 0 ? [] : tokens.slice(colon + 1);
}

/** All dots and at signs at the end go, C takes one of each: so what is complete once stays as it is. */
function withoutTail(tokens: readonly Token[]): readonly Token[] {
  const end = tokens.findLastIndex(({ type }) => type !== "." && type !== "@");
  return tokens.slice(0, end + 1);
}

function withHost(address: readonly Token[], domains: Domains): Token[] {
  const tokens = [...address];
  if (!tokens.some((token) => token.type === "@")) tokens.push(...domains.defaultHost);
  const last = tokens.at(-1);
  if (last?.type === "atom" && last.text.endsWith("+")) {
    const name = last.text.slice(0, -1);
    tokens.splice(
      -1,
      1,
      name === "" ? { type: "atom", text: "" } : word(name),
      ...domains.plusDomain,
    );
  }
  const at = tokens.findLastIndex((token) => token.type === "@");
  const host = tokens.slice(at + 1);
  const full = host.some((token) => token.type === "." || token.type === "literal");
  if (!full) tokens.push(...domains.defaultDomain);
  return tokens;
}
