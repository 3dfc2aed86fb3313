/**
 * The Sender Rewriting Scheme: a forwarder's own address in place of a stranger's as envelope sender, from which
 * bounces find back, and only for a while (Meng Weng Wong and Shevek, "The Sender Rewriting Scheme"). Pure.
 *
 *     SRS0=HHHH=TT=example.com=joe@we.test              from joe@example.com
 *     SRS1=HHHH=they.test==HHHH=TT=example.com=joe@we.test   from SRS0=HHHH=TT=example.com=joe@they.test
 *
 * HHHH proves that we made it, TT is the day.
 */

import { createHmac } from "node:crypto";

export interface SrsKeys {
  /** Our domain for such addresses. */
  readonly domain: string;
  /** The first signs, all are believed: so one can be replaced by another in time. */
  readonly secrets: readonly string[];
}

export type Reversal =
  | { readonly ok: true; readonly address: string }
  /** `other`: not of this kind. `forged`: nothing that we have signed. `expired`: too old. */
  | { readonly ok: false; readonly why: "other" | "forged" | "expired" };

const DAY_SECONDS = 86_400;
/** A bounce that comes later is not for us to send on. */
const DAYS_MAX = 21;
/** Two characters of base32. */
const DAYS_ROUND = 1024;
const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const HASH_LENGTH = 4;

const SRS0 = /^SRS0[-+=]([^=]+)=([A-Z2-7]{2})=([^=]+)=(.+)$/i;
const SRS1 = /^SRS1[-+=]([^=]+)=([^=]+)=([-+=].+)$/i;

/** The sender to forward mail from `sender` with, at `now` (seconds since 1970). The empty sender stays. */
export function srsForward(keys: SrsKeys, sender: string, now: number): string {
  const at = sender.lastIndexOf("@");
  if (at < 0) return sender;
  const local = sender.slice(0, at);
  const host = sender.slice(at + 1);
  const again = SRS1.exec(local);
  if (again) return signed1(keys, again[2] as string, again[3] as string);
  // Only what is behind SRS0 is said again: the forwarder before us keeps the proof.
  if (SRS0.test(local)) return signed1(keys, host, local.slice("SRS0".length));
  const stamp = dayStamp(now);
  return `SRS0=${hash(keys, 0, [stamp, host, local])}=${stamp}=${host}=${local}@${keys.domain}`;
}

/** The address that the local part of an SRS address of ours stands for, at `now`. */
export function srsReverse(keys: SrsKeys, local: string, now: number): Reversal {
  const second = SRS1.exec(local);
  if (second) {
    const [, proof = "", host = "", rest = ""] = second;
    if (!proves(keys, proof, [host, rest])) return { ok: false, why: "forged" };
    return { ok: true, address: `SRS0${rest}@${host}` };
  }
  const first = SRS0.exec(local);
  if (!first) return { ok: false, why: "other" };
  const [, proof = "", stamp = "", host = "", user = ""] = first;
  if (!proves(keys, proof, [stamp, host, user])) return { ok: false, why: "forged" };
  if (daysSince(stamp, now) > DAYS_MAX) return { ok: false, why: "expired" };
  return { ok: true, address: `${user}@${host}` };
}

function signed1(keys: SrsKeys, host: string, rest: string): string {
  return `SRS1=${hash(keys, 0, [host, rest])}=${host}=${rest}@${keys.domain}`;
}

function proves(keys: SrsKeys, proof: string, parts: readonly string[]): boolean {
  // Some servers change the case of what they send back.
  const lower = proof.toLowerCase();
  return keys.secrets.some((_, at) => hash(keys, at, parts).toLowerCase() === lower);
}

function hash({ secrets }: SrsKeys, at: number, parts: readonly string[]): string {
  const hmac = createHmac("sha1", secrets[at] ?? "");
  for (const part of parts) hmac.update(part.toLowerCase(), "latin1");
  return hmac.digest("base64").slice(0, HASH_LENGTH);
}

function dayStamp(now: number): string {
  const day = Math.floor(now / DAY_SECONDS) % DAYS_ROUND;
  return `${BASE32[day >> 5]}${BASE32[day & 31]}`;
}

function daysSince(stamp: string, now: number): number {
  const [high = "", low = ""] = stamp.toUpperCase();
  const then = BASE32.indexOf(high) * 32 + BASE32.indexOf(low);
  const today = Math.floor(now / DAY_SECONDS) % DAYS_ROUND;
  return (today - then + DAYS_ROUND) % DAYS_ROUND;
}
