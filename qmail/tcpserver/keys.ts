/**
 * Keys of networks in a rules cdb, as ucspi-tcp6 writes them for `10.0.0.0/8` and `2001:db8::/32`. Pure.
 *
 * `_` (IPv4) or `^` (IPv6), then a character for each bit of the prefix: 0, or for a set bit a letter
 * that depends on its place (IPv4) or on how many were set before it (IPv6).
 */

import { isIPv4, isIPv6 } from "node:net";

const LETTERS = "abcdefghijklmnopqrstuvwxyz123456";
/** The backquote, which stands before "a". */
const FIRST = 96;

/** The keys of all networks that `ip` is in, the smallest first. */
export function* networkKeys(ip: string): Generator<string> {
  const key = addressKey(ip);
  for (let length = key.length; length > 1; length--) yield key.slice(0, length);
}

/** The key of the network `ip`/`bits`; null when there is none such. */
export function networkKey(ip: string, bits: number): string | null {
  const key = addressKey(ip);
  const fits = Number.isInteger(bits) && bits >= 1 && bits < key.length;
  return fits ? key.slice(0, bits + 1) : null;
}

function addressKey(ip: string): string {
  if (isIPv4(ip)) {
    const set = bitsOf(ip.split(".").map(Number), 8);
    return `_${set.map((bit, at) => (bit ? LETTERS[at] : "0")).join("")}`;
  }
  const groups = ipv6Groups(ip);
  if (!groups) return "";
  let before = 0;
  const letter = (bit: boolean) => (bit ? String.fromCharCode(FIRST + before++) : "0");
  return `^${bitsOf(groups, 16).map(letter).join("")}`;
}

function bitsOf(numbers: readonly number[], width: number): boolean[] {
  return numbers.flatMap((number) =>
    Array.from({ length: width }, (_, at) => ((number >> (width - 1 - at)) & 1) === 1),
  );
}

/** The eight numbers of an IPv6 address; null when `ip` is none. */
export function ipv6Groups(ip: string): number[] | null {
  if (!isIPv6(ip) || ip.includes("%")) return null;
  const [head = [], tail] = ip.split("::").map(groupsOf);
  if (!tail) return head;
  return [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}

function groupsOf(text: string): number[] {
  return text
    .split(":")
    .filter(Boolean)
    .flatMap((group) => {
      if (!group.includes(".")) return [Number.parseInt(group, 16)];
      const [a = 0, b = 0, c = 0, d = 0] = group.split(".").map(Number);
      return [a * 256 + b, c * 256 + d];
    });
}

/** An IPv6 address as tcpserver says it: lower case, the longest run of zeros left out. Others stay as they are. */
export function canonicalAddress(ip: string): string {
  if (!isIPv6(ip) || ip.includes("%")) return ip;
  return new URL(`http://[${ip}]`).hostname.slice(1, -1);
}
