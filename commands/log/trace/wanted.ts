/** Which messages are looked for: what the user named, and the relatives found since. */

import type { OtherLine } from "../../../qmail/log/other-lines.ts";
import { sameMessageId } from "../../../qmail/message-id.ts";
import { type Moment, near, type Traced, type Visit } from "./traced.ts";

/** A session's lines are within so much of one another's neighbours. */
const SESSION_MS = 3_600_000;

export class Wanted {
  /** In lower case, without angle brackets. */
  readonly #word: string;
  readonly #ids = new Set<string>();
  /** Moments at which a wanted message was queued. */
  readonly #queued = new Map<number, Moment[]>();
  /** Children of wanted messages, and wanted messages as the children of others. */
  readonly #children = new Map<number, Moment[]>();
  readonly #sessions = new Map<string, number>();

  constructor(word: string) {
    this.#word = plain(word.replace(/^message-id:/i, ""));
  }

  /** The message of this number is wanted, too. */
  addId(id: string): void {
    this.#ids.add(id);
  }

  hasMessage(message: Traced): boolean {
    const { id, qp, sender, recipients, children, from } = message;
    if (id === this.#word || String(qp) === this.#word || this.#ids.has(id)) return true;
    if (sender === this.#word || recipients.has(this.#word)) return true;
    if (near(this.#queued.get(qp) ?? [], { qp, time: from })) return true;
    return children.some((child) => near(this.#children.get(child.qp) ?? [], child));
  }

  /** A door's line names what the user named. */
  namesLine({ ip, user, from, to, msgid, qp }: OtherLine): boolean {
    if (String(qp) === this.#word || ip === this.#word) return true;
    if (msgid !== undefined && sameMessageId(msgid, this.#word)) return true;
    if ([user, from].some((name) => name !== undefined && plain(name) === this.#word)) return true;
    return to?.split(",").some((address) => plain(address) === this.#word) ?? false;
  }

  /** A door's line is about a message or a session that is wanted. */
  hasLine({ program, session, qp }: OtherLine, time: number): boolean {
    if (qp !== undefined && near(this.#queued.get(qp) ?? [], { qp, time })) return true;
    const at = this.#sessions.get(sessionName(program, session));
    return at !== undefined && Math.abs(at - time) < SESSION_MS;
  }

  /** Adds who belongs to what was found. True when there were new ones. */
  addRelatives(found: readonly Traced[], visits: readonly Visit[]): boolean {
    let news = false;
    for (const { qp, from, children } of found) {
      if (add(this.#queued, { qp, time: from })) news = true;
      if (add(this.#children, { qp, time: from })) news = true;
      for (const child of children) if (add(this.#queued, child)) news = true;
    }
    for (const { session, qps, lines } of visits) {
      for (const moment of qps) if (add(this.#queued, moment)) news = true;
      if (session === "" || this.#sessions.has(session)) continue;
      this.#sessions.set(session, lines[0]?.time ?? 0);
      news = true;
    }
    return news;
  }
}

/** What a session is called: tcpserver's child is the classic door, and has its number. */
export function sessionName(program: string, session: string | undefined): string {
  if (session === undefined) return "";
  return session.includes(".") || program === "tcpserver" || program === "smtpd"
    ? session
    : `${program} ${session}`;
}

/** True when it was not there. */
function add(moments: Map<number, Moment[]>, moment: Moment): boolean {
  if (Number.isNaN(moment.qp)) return false;
  const known = moments.get(moment.qp) ?? [];
  if (known.some(({ time }) => time === moment.time)) return false;
  moments.set(moment.qp, [...known, moment]);
  return true;
}

function plain(text: string): string {
  return text.trim().toLowerCase().replace(/^<|>$/g, "");
}
