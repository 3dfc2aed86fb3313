/**
 * A stub resolver that knows what mail needs to know and node:dns does not tell: whether an answer was
 * checked by DNSSEC, how long it holds, and "there is none" apart from "cannot say".
 *
 * Answers are kept as long as they hold, negative ones too; questions asked at the same time are asked once.
 */

import { domainToASCII } from "node:url";
import { exchange, type Question } from "./exchange.ts";
import { isName, type Records, type RecordType, type Verdict } from "./message.ts";
import type { NameServer, NameServers } from "./resolv-conf.ts";

/** What is known of a name. `secure`: by DNSSEC, checked by a server that we trust. */
export type Resolution<T extends RecordType> =
  | { readonly status: "found"; readonly records: Records<T>; readonly secure: boolean }
  | { readonly status: "none"; readonly exists: boolean; readonly secure: boolean }
  /** Nobody could say: ask again later, and decide nothing for good. */
  | { readonly status: "trouble"; readonly why: string };

/** Answers questions about names; rejects never. */
export interface Dns {
  lookup<T extends RecordType>(name: string, type: T): Promise<Resolution<T>>;
}

export interface ResolverOptions {
  readonly servers: NameServers;
  /** Milliseconds by a clock that nobody sets: ages are measured with it. */
  readonly now?: () => number;
  /** One question to one server, within so many milliseconds. */
  readonly ask?: typeof exchange;
}

const TRY_MS = 3000;
/** Times that each server is asked before we give up. */
const ROUNDS = 2;
const CNAMES_MAX = 8;
const TTL_MAX = 86_400;
/** Negative answers are not kept longer (RFC 2308 section 5 says one to three hours). */
const NEGATIVE_TTL_MAX = 3600;
/** After trouble, nobody is asked the same for so many seconds. */
const TROUBLE_TTL = 5;
const CACHE_MAX = 10_000;

interface Known {
  readonly resolution: Resolution<RecordType>;
  readonly until: number;
}

export class Resolver implements Dns {
  readonly #servers: readonly NameServer[];
  readonly #trusted: boolean;
  readonly #now: () => number;
  readonly #ask: typeof exchange;
  readonly #known = new Map<string, Known>();
  readonly #asking = new Map<string, Promise<Resolution<RecordType>>>();

  constructor({ servers, now = () => performance.now(), ask = exchange }: ResolverOptions) {
    this.#servers = servers.servers;
    this.#trusted = servers.trusted;
    this.#now = now;
    this.#ask = ask;
  }

  async lookup<T extends RecordType>(name: string, type: T): Promise<Resolution<T>> {
    const ascii = asciiName(name);
    // What can be no name has no records.
    if (ascii === null) return { status: "none", exists: false, secure: false };
    const key = `${type} ${ascii}`;
    const known = this.#known.get(key);
    if (known && known.until > this.#now()) return known.resolution as Resolution<T>;
    let asking = this.#asking.get(key);
    if (!asking) {
      asking = this.#find(key, { name: ascii, type });
      this.#asking.set(key, asking);
    }
    return asking as Promise<Resolution<T>>;
  }

  async #find<T extends RecordType>(key: string, question: Question<T>): Promise<Resolution<T>> {
    try {
      const { resolution, ttl } = await this.#follow(question);
      this.#keep(key, { resolution, until: this.#now() + ttl * 1000 });
      return resolution;
    } finally {
      this.#asking.delete(key);
    }
  }

  /** Asks, and asks on where a CNAME leads out of what the server knows. */
  async #follow<T extends RecordType>(
    question: Question<T>,
  ): Promise<{ resolution: Resolution<T>; ttl: number }> {
    let secure = this.#trusted;
    let ttl = TTL_MAX;
    let { name } = question;
    for (let steps = 0; steps < CNAMES_MAX; steps++) {
      const answer = await this.#try({ ...question, name });
      secure &&= answer.authentic;
      const { verdict } = answer;
      if (verdict.type === "trouble") return trouble(verdict.rcode);
      ttl = Math.min(ttl, verdict.ttl);
      if (verdict.type === "found") {
        return { resolution: { status: "found", records: verdict.records, secure }, ttl };
      }
      if (verdict.type !== "cname") {
        const exists = verdict.type === "nodata";
        return {
          resolution: { status: "none", exists, secure },
          ttl: Math.min(ttl, NEGATIVE_TTL_MAX),
        };
      }
      if (!isName(verdict.target)) return trouble("a CNAME leads to what is no name");
      name = verdict.target;
    }
    return trouble("too many CNAMEs");
  }

  /** The first answer worth having: every server in turn, all of them again, then no more. */
  async #try<T extends RecordType>(
    question: Question<T>,
  ): Promise<{ verdict: Verdict<T>; authentic: boolean }> {
    let why = "no name server";
    for (let round = 1; round <= ROUNDS; round++) {
      for (const server of this.#servers) {
        try {
          const answer = await this.#ask(server, question, TRY_MS * round);
          if (answer.verdict.type !== "trouble") return answer;
          why = `${answer.verdict.rcode} from the name server ${server.ip}`;
        } catch (error) {
          why = (error as Error).message;
        }
      }
    }
    return { verdict: { type: "trouble", rcode: why }, authentic: false };
  }

  #keep(key: string, known: Known): void {
    // A Map keeps the order of insertion: what was learnt longest ago makes room.
    this.#known.delete(key);
    this.#known.set(key, known);
    if (this.#known.size <= CACHE_MAX) return;
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest);
      break;
    }
  }
}

function trouble(why: string): { resolution: { status: "trouble"; why: string }; ttl: number } {
  return { resolution: { status: "trouble", why }, ttl: TROUBLE_TTL };
}

/** The name in lower-case ASCII without its last dot; byte strings in UTF-8 become A-labels. Null for no name. */
export function asciiName(name: string): string | null {
  const plain = name.endsWith(".") ? name.slice(0, -1) : name;
  const ascii = /^[!-~]*$/.test(plain)
    ? plain.toLowerCase()
    : domainToASCII(Buffer.from(plain, "latin1").toString());
  return isName(ascii) ? ascii : null;
}
