/** DNS messages: the question that we ask and what an answer says of it. Pure (RFC 1035, 2308, 6891). */

import * as packet from "dns-packet";

/** The types that a mail server asks for. */
export type RecordType = "A" | "AAAA" | "CNAME" | "MX" | "PTR" | "TLSA" | "TXT";

export interface Mx {
  readonly preference: number;
  /** Without its last dot; "" for the null MX. */
  readonly exchange: string;
}

export interface Tlsa {
  readonly usage: number;
  readonly selector: number;
  readonly matchingType: number;
  readonly certificate: Buffer;
}

/** What a record of each type holds. */
export interface RecordData {
  A: string;
  AAAA: string;
  CNAME: string;
  MX: Mx;
  PTR: string;
  TLSA: Tlsa;
  /** The strings of the record joined. */
  TXT: string;
}

export type Records<T extends RecordType> = readonly RecordData[T][];

/** What one answer says. */
export type Verdict<T extends RecordType> =
  /** Records, behind CNAMEs perhaps. `ttl` in seconds: of the shortest-lived record on the way. */
  | { readonly type: "found"; readonly records: Records<T>; readonly ttl: number }
  /** There is no such name. */
  | { readonly type: "nxdomain"; readonly ttl: number }
  /** None of these records for it. `unproven`: a resolver says so and shows no SOA, as some do from their cache. */
  | { readonly type: "nodata"; readonly ttl: number; readonly unproven?: true }
  /** A CNAME whose target this server said nothing about: ask for that. */
  | { readonly type: "cname"; readonly target: string; readonly ttl: number }
  /** The server cannot say. */
  | { readonly type: "trouble"; readonly rcode: string };

export interface Answer<T extends RecordType> {
  readonly verdict: Verdict<T>;
  /** The server says that it has checked the answer's signatures. */
  readonly authentic: boolean;
  /** The answer did not fit into a datagram: ask over TCP. */
  readonly truncated: boolean;
}

/** What is said to fit into a datagram: no fragments on any path (DNS flag day 2020). */
const UDP_SIZE = 1232;
/** Negative answers without a SOA record are kept so long. */
const NEGATIVE_TTL = 60;
const CNAMES_MAX = 16;
/** What servers say to EDNS that do not know it (RFC 6891 section 7). */
export const NOT_UNDERSTOOD: readonly string[] = ["FORMERR", "NOTIMP"];

const EDNS: packet.OptAnswer = {
  name: ".",
  type: "OPT",
  udpPayloadSize: UDP_SIZE,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
};

/** True for a name that can be asked for: labels of 1 to 63 ASCII characters, 253 in all. */
export function isName(name: string): boolean {
  return name.length <= 253 && name.split(".").every((label) => /^[!-~]{1,63}$/.test(label));
}

/** The question as it goes over the wire. `name` must be one (`isName`); without `edns` for a server that does not know it. */
export function formatQuestion(id: number, name: string, type: RecordType, edns = true): Buffer {
  return packet.encode({
    id,
    type: "query",
    // AD in a question: "tell me whether it is authentic" (RFC 6840 section 5.7).
    flags: packet.RECURSION_DESIRED | packet.AUTHENTIC_DATA,
    questions: [{ name, type, class: "IN" }],
    additionals: edns ? [EDNS] : [],
  });
}

/** Reads an answer to the question `id`, `name`, `type`; null for bytes that are none. */
export function parseAnswer<T extends RecordType>(
  bytes: Buffer,
  { id, name, type }: { readonly id: number; readonly name: string; readonly type: T },
): Answer<T> | null {
  let message: packet.DecodedPacket;
  try {
    message = packet.decode(bytes);
  } catch {
    return null;
  }
  const [question, ...more] = message.questions ?? [];
  if (message.id !== id || message.type !== "response" || more.length > 0) return null;
  // Who has not understood the question does not repeat it.
  if (!question && !NOT_UNDERSTOOD.includes(rcodeOf(message))) return null;
  if (question && (question.type !== type || !sameName(question.name, name))) return null;
  return {
    verdict: judge(message, name, type),
    authentic: message.flag_ad,
    truncated: message.flag_tc,
  };
}

function judge<T extends RecordType>(
  message: packet.DecodedPacket,
  name: string,
  type: T,
): Verdict<T> {
  const rcode = rcodeOf(message);
  if (rcode !== "NOERROR" && rcode !== "NXDOMAIN") return { type: "trouble", rcode };
  const answers = (message.answers ?? []) as readonly PlainAnswer[];
  const { target, ttl: chainTtl } = followCnames(answers, name, type);
  const found = answers.filter((answer) => answer.type === type && sameName(answer.name, target));
  if (found.length > 0) {
    const ttl = Math.min(chainTtl, ...found.map((answer) => answer.ttl ?? 0));
    return { type: "found", records: found.map((answer) => plainData(answer) as never), ttl };
  }
  const ttl = Math.min(chainTtl, negativeTtl(message));
  const has = (type: string) => (message.authorities ?? []).some((record) => record.type === type);
  // "There is none" needs its proof (RFC 2308 section 2), or comes from who has asked everybody.
  const proven = has("SOA");
  if (rcode === "NXDOMAIN" && (proven || message.flag_aa || message.flag_ra)) {
    return { type: "nxdomain", ttl };
  }
  if (proven) return { type: "nodata", ttl };
  if (!sameName(target, name)) return { type: "cname", target, ttl: chainTtl };
  if (has("NS")) return { type: "trouble", rcode: "a referral" };
  if (!message.flag_ra) return { type: "trouble", rcode: "nothing, and no proof of it" };
  return { type: "nodata", ttl, unproven: true };
}

/** With the upper half that EDNS has (RFC 6891 section 6.1.3). */
function rcodeOf(message: packet.DecodedPacket): string {
  const opt = (message.additionals ?? []).find(({ type }) => type === "OPT");
  const { extendedRcode = 0 } = (opt ?? {}) as Partial<packet.OptAnswer>;
  const lower = (message.flags ?? 0) & 0xf;
  const { rcode } = message as { rcode?: string };
  return extendedRcode === 0 ? String(rcode) : `RCODE ${(extendedRcode << 4) | lower}`;
}

interface PlainAnswer {
  readonly type: string;
  readonly name: string;
  readonly ttl?: number;
  readonly data: unknown;
}

/** Where the CNAMEs among `answers` lead from `name`, and the shortest of their lives. */
function followCnames(
  answers: readonly PlainAnswer[],
  name: string,
  type: RecordType,
): { target: string; ttl: number } {
  let target = name;
  let ttl = Number.POSITIVE_INFINITY;
  for (let steps = 0; type !== "CNAME" && steps < CNAMES_MAX; steps++) {
    const next = answers.find((answer) => answer.type === "CNAME" && sameName(answer.name, target));
    if (!next) break;
    target = String(next.data);
    ttl = Math.min(ttl, next.ttl ?? 0);
  }
  return { target, ttl };
}

/** How long "there is none" holds: RFC 2308 section 5. */
function negativeTtl(message: packet.DecodedPacket): number {
  for (const record of message.authorities ?? []) {
    if (record.type === "SOA") {
      return Math.min(record.ttl ?? NEGATIVE_TTL, record.data.minimum ?? NEGATIVE_TTL);
    }
  }
  return NEGATIVE_TTL;
}

function plainData({ type, data }: PlainAnswer): RecordData[RecordType] {
  switch (type) {
    case "MX": {
      const { preference = 0, exchange } = data as packet.MxData;
      return { preference, exchange: withoutDot(exchange) };
    }
    case "TXT":
      return Buffer.concat([data as Buffer | Buffer[]].flat()).toString("latin1");
    case "TLSA": {
      const { usage, selector, matchingType, certificate } = data as packet.TlsaData;
      return { usage, selector, matchingType, certificate: Buffer.from(certificate) };
    }
    case "CNAME":
    case "PTR":
      return withoutDot(String(data));
    default:
      return String(data);
  }
}

/** dns-packet writes the root as ".". */
function withoutDot(name: string): string {
  return name.endsWith(".") ? name.slice(0, -1) : name;
}

function sameName(one: string, other: string): boolean {
  return withoutDot(one).toLowerCase() === withoutDot(other).toLowerCase();
}
