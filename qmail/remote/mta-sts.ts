/** MTA-STS: what a domain wants of TLS to its mail servers (RFC 8461). The texts here, the cache below. */

import { mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { asciiName, type Dns } from "../dns/resolver.ts";
import { replaceFile } from "../files/atomic.ts";
import { warn } from "../warn.ts";
import { type TlsFault, tlsFault } from "./tls-fault.ts";

export interface StsPolicy {
  readonly mode: "enforce" | "testing" | "none";
  /** Names of mail servers; `*.x.test` for one label below x.test. */
  readonly mx: readonly string[];
  /** Seconds. */
  readonly maxAge: number;
}

const MAX_AGE = 31_557_600;
/** RFC 8461 section 3.2 asks for weeks; less than this would ask at every message. */
const MIN_AGE = 60;

/** Before the domain in the name of the policy's web server. */
const STS_LABEL = "mta-sts.";

/** The id in a TXT record `v=STSv1; id=...;`; null for one that is none. */
export function parseStsRecord(text: string): string | null {
  const [version, ...fields] = text.split(";").map((field) => field.trim());
  if (version !== "v=STSv1") return null;
  for (const field of fields) {
    const id = /^id\s*=\s*([A-Za-z0-9]{1,32})$/.exec(field)?.[1];
    if (id !== undefined) return id;
  }
  return null;
}

/**
 * The name that a policy of `domain` is asked for under. Null for what is no name of a host, as RFC 5890 has them: what
 * stands in an address may be a port and a path of any web server, or an address of our network.
 */
export function stsHost(domain: string): string | null {
  const ascii = asciiName(domain);
  if (ascii === null || ascii.length + STS_LABEL.length > 253) return null;
  const labels = ascii.split(".");
  if (!labels.every((label) => /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/.test(label))) return null;
  return /^\d+$/.test(labels.at(-1) as string) ? null : STS_LABEL + ascii;
}

/** The policy in the body of `https://mta-sts.DOMAIN/.well-known/mta-sts.txt`; null for what is none. */
export function parseStsPolicy(text: string): StsPolicy | null {
  const fields = text.split("\n").map(parseField);
  const values = (key: string) => {
    return fields.flatMap((field) => (field?.key === key ? [field.value] : []));
  };
  const [mode] = values("mode");
  const [age = ""] = values("max_age");
  const mx = values("mx").map((name) => name.toLowerCase());
  if (values("version")[0] !== "STSv1" || !/^\d{1,10}$/.test(age)) return null;
  if (mode !== "enforce" && mode !== "testing" && mode !== "none") return null;
  if (mx.length === 0 && mode !== "none") return null;
  return { mode, mx, maxAge: Math.min(Number(age), MAX_AGE) };
}

/** `key: value`; null for a line that is none. */
function parseField(line: string): { readonly key: string; readonly value: string } | null {
  const colon = line.indexOf(":");
  if (colon < 0) return null;
  const key = line.slice(0, colon).trimEnd();
  return /^[a-z_]+$/.test(key) ? { key, value: line.slice(colon + 1).trim() } : null;
}

/** True when the mail server `name` is one that the policy names. */
export function isNamedBy({ mx }: StsPolicy, name: string): boolean {
  const lower = name.toLowerCase().replace(/\.$/, "");
  return mx.some((pattern) => {
    if (!pattern.startsWith("*.")) return pattern === lower;
    return (
      lower.endsWith(pattern.slice(1)) && lower.indexOf(".") === lower.length - pattern.length + 1
    );
  });
}

/** The lines of a policy, for reports about it. */
export function stsPolicyLines({ mode, mx, maxAge }: StsPolicy): string[] {
  return [
    "version: STSv1",
    `mode: ${mode}`,
    ...mx.map((name) => `mx: ${name}`),
    `max_age: ${maxAge}`,
  ];
}

/** Fetches the policy text of a domain. Rejects when there is none to be had. */
export type FetchPolicy = (domain: string) => Promise<string>;

interface Cached {
  readonly id: string;
  readonly policy: StsPolicy;
  /** Milliseconds since 1970. */
  until: number;
}

function lifeMs({ maxAge }: StsPolicy): number {
  return Math.max(maxAge, MIN_AGE) * 1000;
}

/** After a policy could not be fetched, it is not asked for again for so long (RFC 8461 section 3.3). */
const FAILED_MS = 300_000;
const CACHE_MAX = 10_000;

interface StsPoliciesOptions {
  readonly dns: Dns;
  readonly fetch: FetchPolicy;
  readonly now: () => number;
  /** Milliseconds by a clock that nobody sets; performance.now() if absent. */
  readonly steady?: () => number;
  readonly path: string;
  readonly keep?: boolean;
}

/** The policies that are known, kept over restarts: who learnt one once is safe from being told otherwise. */
export class StsPolicies {
  readonly #dns: Dns;
  readonly #fetch: FetchPolicy;
  readonly #now: () => number;
  readonly #steady: () => number;
  readonly #path: string;
  readonly #keep: boolean;
  readonly #known: Map<string, Cached>;
  readonly #failed = new Map<string, { readonly until: number; readonly fault: TlsFault }>();
  readonly #fetching = new Map<string, Promise<void>>();

  /**
   * `path` is the file that keeps them; with `keep: false` it is only read, for who may be somebody else than
   * the one it belongs to. `now` in milliseconds since 1970.
   */
  constructor(options: StsPoliciesOptions) {
    this.#dns = options.dns;
    this.#fetch = options.fetch;
    this.#now = options.now;
    this.#steady = options.steady ?? (() => performance.now());
    this.#path = options.path;
    this.#keep = options.keep ?? true;
    this.#known = readCache(options.path);
  }

  /** What `domain` wants; null for nothing. Rejects never. */
  async find(domain: string): Promise<StsPolicy | null> {
    const key = domain.toLowerCase();
    if (stsHost(key) === null) return null;
    const id = await this.#recordId(key);
    const known = this.#valid(key);
    // The record only says whether there is something new: what is known holds without it.
    if (id !== null && known?.id !== id) await this.#renew(key, id);
    return this.#valid(key)?.policy ?? null;
  }

  /** What is known and holds. After the clock has gone back it holds no longer than from now on. */
  #valid(domain: string): Cached | null {
    const known = this.#known.get(domain);
    if (!known) return null;
    const now = this.#now();
    known.until = Math.min(known.until, now + lifeMs(known.policy));
    return known.until > now ? known : null;
  }

  /** Who could not be asked is asked again. */
  forgetTrouble(): void {
    this.#failed.clear();
  }

  /** Why the policy that `domain` says it has could not be had lately; null when it could, or there is none. */
  trouble(domain: string): TlsFault | null {
    const failed = this.#failed.get(domain.toLowerCase());
    return failed && failed.until > this.#steady() ? failed.fault : null;
  }

  async #recordId(domain: string): Promise<string | null> {
    const txt = await this.#dns.lookup(`_mta-sts.${domain}`, "TXT");
    if (txt.status !== "found") return null;
    const ids = txt.records.map(parseStsRecord).filter((id) => id !== null);
    return ids.length === 1 ? (ids[0] as string) : null;
  }

  #renew(domain: string, id: string): Promise<void> {
    if (this.trouble(domain)) return Promise.resolve();
    let fetching = this.#fetching.get(domain);
    if (!fetching) {
      fetching = this.#load(domain, id).finally(() => this.#fetching.delete(domain));
      this.#fetching.set(domain, fetching);
    }
    return fetching;
  }

  async #load(domain: string, id: string): Promise<void> {
    const policy = await this.#fetch(domain).then(readPolicy, fetchFault);
    if ("type" in policy) {
      if (this.#failed.size >= CACHE_MAX) this.#failed.clear();
      this.#failed.set(domain, { until: this.#steady() + FAILED_MS, fault: policy });
      return;
    }
    this.#failed.delete(domain);
    this.#known.delete(domain);
    this.#known.set(domain, { id, policy, until: this.#now() + lifeMs(policy) });
    this.#shrink();
    this.#save();
  }

  /** What has been known for longest makes room. */
  #shrink(): void {
    for (const domain of this.#known.keys()) {
      if (this.#known.size <= CACHE_MAX) return;
      this.#known.delete(domain);
    }
  }

  #save(): void {
    if (!this.#keep) return;
    try {
      mkdirSync(dirname(this.#path), { recursive: true });
      replaceFile(this.#path, JSON.stringify([...this.#known]));
    } catch (error) {
      warn((error as Error).message);
    }
  }
}

function readPolicy(text: string): StsPolicy | TlsFault {
  return parseStsPolicy(text) ?? tlsFault("sts-policy-invalid", "what is there is no policy");
}

function fetchFault(error: unknown): TlsFault {
  const { code, message } = error as NodeJS.ErrnoException;
  const type = /CERT|SIGNATURE/.test(code ?? "") ? "sts-webpki-invalid" : "sts-policy-fetch-error";
  return tlsFault(type, message);
}

function readCache(path: string): Map<string, Cached> {
  try {
    return new Map(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return new Map();
  }
}
