/**
 * What is counted for reports to other domains about their TLS (RFC 8460): by day and domain the sessions that went
 * well, and those that did not with the reason. A day is a file, in the form of the report's `policies`.
 */

import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "../files/atomic.ts";
import { warn } from "../warn.ts";
import type { Published } from "./choose-policy.ts";
import type { TlsFault, TlsFaultType } from "./tls-fault.ts";

/** One connection to a server of `domain`. */
export interface TlsSession {
  readonly domain: string;
  readonly published: Published;
  /** Name and address of the server. */
  readonly mx: string;
  readonly ip: string;
  /** Our address; absent when there was no connection. */
  readonly from?: string;
  /** Null: all was well. */
  readonly fault: TlsFault | null;
}

/** Sessions that failed for one reason (RFC 8460 section 4.4). */
export interface FailureDetail {
  readonly "result-type": TlsFaultType;
  readonly "sending-mta-ip"?: string;
  readonly "receiving-mx-hostname": string;
  readonly "receiving-ip": string;
  "failed-session-count": number;
  readonly "failure-reason-code": string;
}

/** An entry of `policies` (RFC 8460 section 4.4). */
export interface PolicyCount {
  readonly policy: {
    readonly "policy-type": Published["type"];
    readonly "policy-string"?: readonly string[];
    readonly "policy-domain": string;
    readonly "mx-host"?: readonly string[];
  };
  readonly summary: {
    "total-successful-session-count": number;
    "total-failure-session-count": number;
  };
  readonly "failure-details": FailureDetail[];
}

/** Below the qmail home. */
export const TLS_REPORTS = "run/remote/tls";
/** A day's counts are kept for so long: reports are sent on the next day. */
const KEPT_DAYS = 30;
const SAVE_MS = 60_000;
/** Of more policies on one day nothing is counted. */
const POLICIES_MAX = 10_000;
/** Of more reasons of one policy only the sum is counted. */
const DETAILS_MAX = 50;
const LINES_MAX = 50;
const TEXT_MAX = 500;
const DAY_MS = 86_400_000;

/** The day in which `ms` lies, in UTC as the RFC wants it: 2026-11-24. */
export function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/** Counts sessions; what is counted is on disk within a minute. */
export class TlsReports {
  readonly #directory: string;
  readonly #now: () => number;
  #day = "";
  #counts = new Map<string, PolicyCount>();
  #timer: NodeJS.Timeout | null = null;

  /** `now` in milliseconds. */
  constructor(directory: string, now: () => number) {
    this.#directory = directory;
    this.#now = now;
  }

  note({ domain, published, mx, ip, from, fault }: TlsSession): void {
    const today = dayOf(this.#now());
    if (today !== this.#day) this.#begin(today);
    const count = this.#count(domain.toLowerCase(), published);
    if (!count) return;
    if (!fault) count.summary["total-successful-session-count"]++;
    else {
      count.summary["total-failure-session-count"]++;
      addDetail(count["failure-details"], {
        "result-type": fault.type,
        ...(from === undefined ? {} : { "sending-mta-ip": from }),
        "receiving-mx-hostname": cut(mx),
        "receiving-ip": ip,
        "failed-session-count": 1,
        "failure-reason-code": cut(fault.reason),
      });
    }
    this.#timer ??= setTimeout(() => this.save(), SAVE_MS).unref();
  }

  /** Writes what is not written yet. */
  save(): void {
    if (!this.#timer) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    try {
      mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
      const path = join(this.#directory, `${this.#day}.json`);
      replaceFile(path, JSON.stringify([...this.#counts.values()]));
    } catch (error) {
      warn((error as Error).message);
    }
  }

  #begin(day: string): void {
    this.save();
    this.#day = day;
    const counts = readTlsDay(this.#directory, day) ?? [];
    this.#counts = new Map(counts.map((count) => [keyOf(count.policy), count]));
    forgetBefore(this.#directory, dayOf(this.#now() - KEPT_DAYS * DAY_MS));
  }

  #count(domain: string, { type, lines, mx }: Published): PolicyCount | null {
    const policy = {
      "policy-type": type,
      ...(lines.length > 0 ? { "policy-string": lines.slice(0, LINES_MAX).map(cut) } : {}),
      "policy-domain": cut(domain),
      ...(mx.length > 0 ? { "mx-host": mx.slice(0, LINES_MAX).map(cut) } : {}),
    };
    const key = keyOf(policy);
    const known = this.#counts.get(key);
    if (known) return known;
    if (this.#counts.size >= POLICIES_MAX) return null;
    const count: PolicyCount = {
      policy,
      summary: { "total-successful-session-count": 0, "total-failure-session-count": 0 },
      "failure-details": [],
    };
    this.#counts.set(key, count);
    return count;
  }
}

/** What was counted on `day`; null when nothing was. Throws when the directory may not be read. */
export function readTlsDay(directory: string, day: string): PolicyCount[] | null {
  let text: string;
  try {
    text = readFileSync(join(directory, `${day}.json`), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
  return JSON.parse(text);
}

/** The days of which something is known, the earliest first. */
export function tlsDays(directory: string): string[] {
  try {
    const names = readdirSync(directory).filter((name) => /^\d{4}-\d\d-\d\d\.json$/.test(name));
    return names.map((name) => name.slice(0, 10)).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

function forgetBefore(directory: string, day: string): void {
  for (const old of tlsDays(directory).filter((each) => each < day)) {
    rmSync(join(directory, `${old}.json`), { force: true });
  }
}

function addDetail(details: FailureDetail[], detail: FailureDetail): void {
  const same = details.find(
    (known) =>
      known["result-type"] === detail["result-type"] &&
      known["receiving-ip"] === detail["receiving-ip"] &&
      known["receiving-mx-hostname"] === detail["receiving-mx-hostname"] &&
      known["sending-mta-ip"] === detail["sending-mta-ip"] &&
      known["failure-reason-code"] === detail["failure-reason-code"],
  );
  if (same) same["failed-session-count"]++;
  else if (details.length < DETAILS_MAX) details.push(detail);
}

function keyOf(policy: PolicyCount["policy"]): string {
  return JSON.stringify([policy["policy-domain"], policy["policy-type"], policy["policy-string"]]);
}

function cut(text: string): string {
  return text.slice(0, TEXT_MAX);
}
