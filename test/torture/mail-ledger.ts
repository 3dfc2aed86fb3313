/**
 * Whom every message is for, and what came of it. Each recipient of each message has an address of its own,
 * so a copy that arrives for somebody it was not for shows, as does one that is not what was sent.
 */

import { crc32 } from "node:zlib";
import { HOST } from "./letters.ts";

/** What a client heard: nothing yet, yes, no, or it went away before it could hear. */
type Answer = "none" | "accepted" | "refused" | "unheard";

export interface Post {
  readonly token: string;
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly text: Buffer;
}

/** A message as the ledger has it: not its text, only what tells it from another. */
interface Entry {
  readonly token: string;
  readonly size: number;
  readonly sum: number;
  answer: Answer;
  /** When it was accepted, by `performance.now()`. */
  since: number;
  /** Copies that arrived, by recipient. */
  readonly copies: Uint8Array;
  /** Who was told of in a bounce. */
  readonly bounced: Uint8Array;
  /** Somebody asked for its end: it may arrive or not, or come back. */
  ended: boolean;
}

export interface Verdict {
  accepted: number;
  refused: number;
  arrived: number;
  lost: number;
  wrong: number;
  duplicates: number;
  /** Arrived although the client heard that it was refused. */
  unasked: number;
  /** Bounced though nobody asked for that. */
  bounced: number;
  /** Tokens of messages of which something is lost. */
  readonly lostTokens: string[];
  /** Of those that came twice, and of those that came though refused. */
  readonly twiceTokens: string[];
  readonly unaskedTokens: string[];
  /** What was wrong with copies: some of it, in words. */
  readonly complaints: string[];
}

const SENDER = "from";
const BOX = "to";
/** A recipient who cannot have it at once. */
const LATE_BOX = "wait";
const MARK = "X-Token: ";
const BOUNCE = "Hi. This is the qmail-send program at";
const COMPLAINTS_MAX = 40;

/** A message of about `size` bytes to `count` recipients; the first of them may have to wait for it. */
export function makePost(
  token: string,
  { count, size, waits = false }: { count: number; size: number; waits?: boolean },
): Post {
  const head = `${MARK}${token}\nSubject: order\n\n`;
  const line = `${`${token} `.padEnd(70, "abcdefghijklmnopqrstuvwxyz")}\n`;
  const lines = Math.max(1, Math.floor((size - head.length) / line.length));
  const text = Buffer.alloc(head.length + lines * line.length, line, "latin1");
  // The pattern begins anew behind the head.
  text.write(head, 0, "latin1");
  text.fill(line, head.length, text.length, "latin1");
  return {
    token,
    sender: `${SENDER}-${token}@${HOST}`,
    recipients: Array.from(
      { length: count },
      (_, at) => `${waits && at === 0 ? LATE_BOX : BOX}-${token}.${at}@${HOST}`,
    ),
    text,
  };
}

export class MailLedger {
  readonly #entries = new Map<string, Entry>();
  readonly #complaints: string[] = [];
  /** Copies that are not what they should be, or not where. */
  wrong = 0;
  /** Copies beside the first. */
  twice = 0;
  #arrived = 0;
  /** When something arrived last, by `performance.now()`. */
  lastArrival = performance.now();
  accepted = 0;
  refused = 0;

  /** Before its first byte is sent. */
  sent({ token, text, recipients }: Post): void {
    this.#entries.set(token, {
      token,
      size: text.length,
      sum: crc32(text),
      answer: "none",
      since: 0,
      copies: new Uint8Array(recipients.length),
      bounced: new Uint8Array(recipients.length),
      ended: false,
    });
  }

  answered(token: string, answer: Exclude<Answer, "none">): void {
    const entry = this.#entries.get(token);
    if (!entry) throw new Error(`an answer for ${token}, which was not sent`);
    entry.answer = answer;
    entry.since = performance.now();
    if (answer === "accepted") this.accepted++;
    if (answer === "refused") this.refused++;
  }

  /** Somebody asks for the end of the message. */
  ended(token: string): void {
    const entry = this.#entries.get(token);
    if (entry) entry.ended = true;
  }

  /** A copy has been found: `text` with what delivery put before it. */
  arrived(text: Buffer): void {
    this.lastArrival = performance.now();
    this.#arrived++;
    const from = text.indexOf(MARK);
    const head = text.toString("latin1", 0, from < 0 ? 2000 : from);
    const to = /^Delivered-To: (.*)$/m.exec(head)?.[1] ?? "";
    const token = /^\S*/.exec(text.toString("latin1", from + MARK.length, from + 60))?.[0] ?? "";
    const entry = this.#entries.get(token);
    if (from < 0 || !entry) this.#complain(`no message of ours for ${to}: ${quote(text)}`);
    else if (to.startsWith(`${SENDER}-`))
      this.#bounce(entry, { to, head, rest: text.subarray(from) });
    else this.#copy(entry, { to, head, rest: text.subarray(from) });
  }

  #copy(entry: Entry, { to, head, rest }: { to: string; head: string; rest: Buffer }): void {
    const { token, size, sum, copies } = entry;
    const [, whose, at] = /^(?:to|wait)-(.*)\.(\d+)@/.exec(to) ?? [];
    const from = /^Return-Path: <(.*)>$/m.exec(head)?.[1];
    if (whose !== token || Number(at) >= copies.length) {
      this.#complain(`wrong person: ${token} at ${to}`);
    } else if (rest.length !== size || crc32(rest) !== sum) {
      this.#complain(`not what was sent: ${token} at ${to}: ${rest.length} bytes, sent ${size}`);
    } else if (from !== `${SENDER}-${token}@${HOST}`) {
      this.#complain(`wrong sender: ${token} at ${to} from ${from}`);
    } else if (head.includes(BOUNCE)) {
      this.#complain(`a bounce for a recipient: ${token} at ${to}`);
    } else {
      const before = copies[Number(at)] ?? 0;
      if (before > 0) this.twice++;
      copies[Number(at)] = Math.min(255, before + 1);
    }
  }

  /** The copy in a bounce may be cut, but it must be of the message whose failures are told. */
  #bounce(entry: Entry, { to, head, rest }: { to: string; head: string; rest: Buffer }): void {
    const { token, bounced, sum, size } = entry;
    if (to !== `${SENDER}-${token}@${HOST}`)
      this.#complain(`wrong person: bounce of ${token} at ${to}`);
    else if (!head.includes(BOUNCE)) this.#complain(`no bounce at ${to}: ${token}`);
    else if (crc32(rest.subarray(0, size)) !== sum)
      this.#complain(`bounce with another text: ${token}`);
    else {
      for (const [, whose, at] of head.matchAll(/^<(?:to|wait)-(.*)\.(\d+)@.*>:$/gm)) {
        if (whose !== token) this.#complain(`wrong person: a failure of ${whose} told to ${to}`);
        else bounced[Number(at)] = 1;
      }
    }
  }

  #complain(text: string): void {
    this.wrong++;
    if (this.#complaints.length < COMPLAINTS_MAX) this.#complaints.push(text);
  }

  /** True when nothing is missing. */
  get complete(): boolean {
    for (const entry of this.#entries.values()) if (missing(entry) > 0) return false;
    return true;
  }

  verdict(): Verdict {
    const verdict: Verdict = {
      accepted: this.accepted,
      refused: this.refused,
      arrived: this.#arrived,
      lost: 0,
      wrong: this.wrong,
      duplicates: 0,
      unasked: 0,
      bounced: 0,
      lostTokens: [],
      twiceTokens: [],
      unaskedTokens: [],
      complaints: [...this.#complaints],
    };
    for (const entry of this.#entries.values()) judge(entry, verdict);
    return verdict;
  }
}

/** Recipients of an accepted message who have neither a copy nor been told of in a bounce. */
function missing({ answer, ended, copies, bounced }: Entry): number {
  if (answer !== "accepted" || ended) return 0;
  return copies.reduce((sum, count, at) => sum + (count === 0 && bounced[at] === 0 ? 1 : 0), 0);
}

function judge(entry: Entry, verdict: Verdict): void {
  const { token, answer, ended, copies, bounced } = entry;
  if (missing(entry) > 0) {
    verdict.lost++;
    verdict.lostTokens.push(token);
  }
  const more = copies.reduce((sum, count) => sum + Math.max(0, count - 1), 0);
  verdict.duplicates += more;
  if (more > 0) verdict.twiceTokens.push(token);
  if (answer === "refused" && copies.some((count) => count > 0)) {
    verdict.unasked++;
    verdict.unaskedTokens.push(token);
  }
  if (!ended && bounced.some((told) => told === 1)) verdict.bounced++;
}

function quote(text: Buffer): string {
  return JSON.stringify(text.toString("latin1", 0, 200));
}
