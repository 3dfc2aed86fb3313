/**
 * A stub resolver that knows what mail needs to know and node:dns does not tell: whether an answer was
 * checked by DNSSEC, how long it holds, and "there is none" apart from "cannot say".
 *
 * Answers are kept as long as they hold, negative ones too; questions asked at the same time are asked once.
 */

import { domainToASCII } from "node:url";
import { exchange, type Question } from "./exchange.ts";
import { type Answer, isName, NOT_UNDERSTOOD, type Records, type RecordType } from "./message.ts";
import type { NameServer, NameServers } from "./resolv-conf.ts";

/** What is known of a name. `secure`: by DNSSEC, checked by a server that we trust. */
export type Resolution<T extends RecordType> =
  | { readonly status: "found"; readonly records: Records<T>; readonly secure: boolean }
  /** `unproven`: somebody says so without proof, and nobody knows better; decide nothing for good. */
  | {
      readonly status: "none";
      readonly exists: boolean;
      readonly secure: boolean;
      readonly unproven?: true;
    }
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
/** A server that did not know EDNS is asked with it again after so long: it may have been a lost datagram. */
const EDNS_AGAIN_MS = 600_000;

/** What a server says. */
type Found<T extends RecordType> = Pick<Answer<T>, "verdict" | "authentic">;

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
  /** Servers that did not answer a question with EDNS, and until when (milliseconds) that is remembered. */
  readonly #withoutEdns = new Map<NameServer, number>();
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
        const unproven = exists && verdict.unproven ? { unproven: true as const } : {};
        return {
          resolution: { status: "none", exists, secure, ...unproven },
          ttl: Math.min(ttl, NEGATIVE_TTL_MAX),
        };
      }
      if (!isName(verdict.target)) return trouble("a CNAME leads to what is no name");
      name = verdict.target;
    }
    return trouble("too many CNAMEs");
  }

  /** The first answer worth having: every server in turn, all of them again, then no more. */
  async #try<T extends RecordType>(question: Question<T>): Promise<Found<T>> {
    let why = "no name server";
    let unproven: Found<T> | null = null;
    const silent = new Set<NameServer>();
    for (let round = 1; round <= ROUNDS && !unproven; round++) {
      for (const server of this.#servers) {
        // It may be EDNS that is not answered (RFC 6891 section 7).
        const edns = !silent.has(server) && this.#knowsEdns(server);
        try {
          const answer = await this.#askOne(server, { ...question, edns }, TRY_MS * round);
          const { verdict } = answer;
          if (silent.has(server)) this.#noteWithoutEdns(server);
          if (verdict.type === "trouble")
            why = `${verdict.rcode} from the name server ${server.ip}`;
          else if (verdict.type === "nodata" && verdict.unproven) unproven ??= answer;
          else return answer;
        } catch (error) {
          silent.add(server);
          why = (error as Error).message;
        }
      }
    }
    return unproven ?? { verdict: { type: "trouble", rcode: why }, authentic: false };
  }

  /** Asks again without EDNS whom it is the trouble with. */
  async #askOne<T extends RecordType>(
    server: NameServer,
    question: Question<T>,
    timeout: number,
  ): Promise<Found<T>> {
    const answer = await this.#ask(server, question, timeout);
    const { verdict } = answer;
    if (!question.edns || verdict.type !== "trouble") return answer;
    if (!NOT_UNDERSTOOD.includes(verdict.rcode)) return answer;
    const plain = await this.#ask(server, { ...question, edns: false }, timeout);
    if (plain.verdict.type !== "trouble") this.#noteWithoutEdns(server);
    return plain;
  }

  #knowsEdns(server: NameServer): boolean {
    const until = this.#withoutEdns.get(server);
    return until === undefined || until <= this.#now();
  }

  #noteWithoutEdns(server: NameServer): void {
    this.#withoutEdns.set(server, this.#now() + EDNS_AGAIN_MS);
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
