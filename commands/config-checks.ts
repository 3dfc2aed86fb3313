/** What the checks of the config's parts have in common. Each says what is allowed when something else is found. */

import { z } from "zod";
import { compileRules } from "../qmail/tcpserver/compile.ts";

const LISTEN = /^(\[[0-9a-f:.]+\]|[0-9a-z.-]*):([0-9]{1,5})$/i;
const NETWORK = /^[0-9a-f:.]+(\/[0-9]{1,3})?$/i;

export const A_LISTEN = 'an address and port, like "127.0.0.1:2525", "[::1]:25" or ":25"';
export const A_NETWORK = 'an address or network, like "192.168.1.0/24"';
export const A_RULE = 'a rule, like "192.0.2.9:deny" or "10.:allow,RELAYCLIENT=\'\'"';

export function oneLine(allowed: string) {
  return z.string({ error: allowed }).refine((text) => !/[\n\0]/.test(text), { error: allowed });
}

export function matching(pattern: RegExp, allowed: string) {
  return z.string({ error: allowed }).regex(pattern, { error: allowed });
}

export function list<T extends z.ZodType>(item: T, allowed: string) {
  return z.array(item, { error: `a list, each ${allowed}` });
}

export function oneOrMore<T extends z.ZodType>(item: T, allowed: string) {
  return z.union([item, z.array(item)], { error: allowed });
}

export function count(allowed: string) {
  return z.number({ error: allowed }).int({ error: allowed }).min(1, { error: allowed });
}

export const flag = z.boolean({ error: "true or false" });

export const listen = matching(LISTEN, A_LISTEN).refine(
  (at) => Number(at.split(":").at(-1)) < 65536,
  { error: A_LISTEN },
);

export const network = matching(NETWORK, A_NETWORK);

/** A line that tcprules takes. */
export const rule = oneLine(A_RULE).refine(isRule, { error: A_RULE });

function isRule(line: string): boolean {
  try {
    return [...compileRules(line)].length > 0;
  } catch {
    return false;
  }
}
