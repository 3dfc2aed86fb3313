/** The text of rules, compiled to the records of a cdb (tcprules(1)). Pure; texts are byte strings. */

import { isIPv4, isIPv6 } from "node:net";
import { canonicalAddress, networkKey } from "./keys.ts";

/** A line that is no rule. */
export class RuleError extends Error {
  readonly line: string;
  /** Counted from 1. */
  readonly number: number;

  constructor(line: string, number: number) {
    super(`unable to parse this line: ${line}`);
    this.line = line;
    this.number = number;
  }
}

/** The records for the rules in `text`, in their order. Throws RuleError. */
export function* compileRules(text: string): Generator<readonly [key: Buffer, data: Buffer]> {
  for (const [at, whole] of text.split("\n").entries()) {
    if (whole.startsWith("#")) continue;
    const line = whole.replace(/[ \t]+$/, "");
    // As ever, a line without a colon says nothing.
    if (!line.includes(":")) continue;
    const rule = parseRule(line);
    if (!rule) throw new RuleError(line, at + 1);
    const data = Buffer.from(rule.data, "latin1");
    for (const key of rule.keys) yield [Buffer.from(key, "latin1"), data];
  }
}

function parseRule(line: string): { keys: readonly string[]; data: string } | null {
  const colon = addressEnd(line);
  const instructions = /^(allow|deny)(.*)$/s.exec(line.slice(colon + 1));
  if (!instructions) return null;
  const [, verb, rest = ""] = instructions;
  const variables = parseVariables(rest);
  const keys = addressKeys(line.slice(0, colon));
  return variables === null || !keys
    ? null
    : { keys, data: (verb === "deny" ? "D\0" : "") + variables };
}

/** The colon behind the address, which may have colons itself when it is one of IPv6. */
function addressEnd(line: string): number {
  const ipv6 = /^(?:[^:@=]*@)?[0-9a-f:.]*(?:\/\d+)?:(?=allow|deny)/i.exec(line);
  return ipv6 ? ipv6[0].length - 1 : line.indexOf(":");
}

/** `,NAME="VALUE"` again and again, where the quote may be any character; null when it is not that. */
function parseVariables(text: string): string | null {
  let data = "";
  for (let at = 0; at < text.length; ) {
    const equals = text.indexOf("=", at);
    const quote = text[equals + 1];
    if (text[at] !== "," || equals < 0 || quote === undefined) return null;
    const end = text.indexOf(quote, equals + 2);
    if (end < 0) return null;
    data += `+${text.slice(at + 1, equals + 1)}${text.slice(equals + 2, end)}\0`;
    at = end + 1;
  }
  return data;
}

/** The keys of a rule's address; null when it is none. */
function addressKeys(address: string): string[] | null {
  if (/[=@]/.test(address)) return [canonicalInfo(address)];
  const [, network = "", bits] = /^(.*)\/(\d+)$/.exec(address) ?? [];
  if (bits !== undefined && (isIPv4(network) || isIPv6(network))) {
    const key = networkKey(network, Number(bits));
    return key === null ? null : [key];
  }
  if (address.includes("-")) return rangeKeys(address);
  return [canonicalAddress(address)];
}

function canonicalInfo(address: string): string {
  const at = address.lastIndexOf("@") + 1;
  return address.slice(0, at) + canonicalAddress(address.slice(at));
}

/** `1.2.3.37-53` as 1.2.3.37, 1.2.3.38 and so on. */
function rangeKeys(address: string): string[] | null {
  const [, left = "", bottom = "", top = "", right = ""] =
    /^((?:[^-]*\.)?)([^-.]*)-([^.]*)(.*)$/s.exec(address) ?? [];
  if (!/^\d*$/.test(bottom) || !/^\d*$/.test(top)) return null;
  const keys: string[] = [];
  for (let number = Number(bottom); number <= Math.min(Number(top), 255); number++) {
    keys.push(`${left}${number}${right}`);
  }
  return keys;
}
