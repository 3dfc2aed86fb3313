/**
 * The lines of the SMTP services' log: one function each, and the parser that reads them back.
 *
 *   smtpd: 4711.3 event=login ip=192.0.2.1 tls=TLSv1.3 user=joe mechanism=PLAIN verdict=ok
 *   smtpd: 4711.3 event=accepted ip=192.0.2.1 tls=TLSv1.3 user=joe helo=mx.example from=<a@b> to=<c@d> rcpts=1 bytes=815 qp=4712 msgid=<e@f>
 *   smtpd: 4711.3 event=refused-message ip=... from=<a@b> to=<c@d>,<e@f> rcpts=2 bytes=815 reply=554 ...
 *   smtpd: 4711.3 event=refused-sender ip=... from=<a@b> reply=553 ...
 *   smtpd: 4711.3 event=refused-recipient ip=... from=<a@b> to=<c@d> reply=553 ...
 *   smtpd: 4711.4 event=denied ip=192.0.2.9 rule=192.0.2.
 *   smtpd: 4711.3 event=ended ip=192.0.2.1 why=quit messages=1 seconds=0.012
 *   smtpd: warning: control/rcpthosts is missing: every recipient is refused
 *
 * The word behind "smtpd:" names the session: process and number, in the classic door the process.
 * Then come words `key=value`, in the order shown; `tls` and `user` are there when they are so, and
 * `detail` behind `why` when TLS failed or the first word was of another protocol (`why=not-smtp detail=GET`), `refused` when
 * more addresses were refused than have lines of their own (100 in a session). Bytes that would break a line are written %XX. `to` has at
 * most 20 recipients, `rcpts` counts all. `reply` is always the last word and goes to the end of the
 * line. `qp` is the number in qmail-send's "info msg" line of the same message, `msgid` what its header
 * says, at most 200 bytes of it; it is left out when the header has none.
 */

import type { Writable } from "node:stream";

/** Who is meant, in every line of a session. */
export interface LogPeer {
  /** Names the session. */
  readonly id: string;
  readonly ip: string;
  /** The protocol of TLS; null: plain text. */
  readonly tls: string | null;
  /** Who has logged in; null: nobody. */
  readonly user: string | null;
}

export interface LogMessage {
  readonly from: string;
  readonly to: readonly string[];
  readonly bytes: number;
}

export interface Accepted {
  readonly helo: string | null;
  readonly qp: number;
  readonly msgid: string | null;
}

type Fields = Readonly<Record<string, string | number | null>>;

/** So many recipients of a message are named. */
const NAMED_MAX = 20;
/** So many refused addresses of a session have a line: a client could fill the disk with them. */
export const REFUSALS_MAX = 100;

/** A message was queued. */
export function accepted(
  peer: LogPeer,
  { helo, qp, msgid, ...message }: LogMessage & Accepted,
): string {
  return line(peer, "accepted", { helo: helo ?? "", ...messageFields(message), qp, msgid });
}

/** A message was refused when it had been sent. */
export function refusedMessage(
  peer: LogPeer,
  { reply, ...message }: LogMessage & { reply: string },
): string {
  return line(peer, "refused-message", messageFields(message), reply);
}

/** MAIL or, when there is a `to`, RCPT was refused. */
export function refusedAddress(
  peer: LogPeer,
  { from, to, reply }: { from: string; to?: string; reply: string },
): string {
  if (to === undefined) return line(peer, "refused-sender", { from: angle(from) }, reply);
  return line(peer, "refused-recipient", { from: angle(from), to: angle(to) }, reply);
}

/** Somebody has said who he is; `user` is what he said. */
export function login(
  { id, ip, tls }: LogPeer,
  { mechanism, user, status }: { mechanism: string; user: string; status: string },
): string {
  return line({ id, ip, tls, user: null }, "login", { mechanism, user, verdict: status });
}

/** Why a session ended. */
export type End =
  | "quit"
  | "disconnected"
  | "timeout"
  | "stray-newline"
  | "bad-chunk"
  | "data-before-tls"
  | "too-many-failures"
  | "too-many-errors"
  | "too-long"
  | "not-smtp"
  | "sent-away"
  | "unable-to-read-controls"
  | "going-down";

/** What a session has come to. */
export interface Ended {
  readonly why: End;
  /** How TLS failed; the word that was no command. */
  readonly detail: string | null;
  /** How many were queued. */
  readonly messages: number;
  /** How many senders and recipients were refused. */
  readonly refusals: number;
  readonly seconds: number;
}

/** A session ended. */
export function ended(peer: LogPeer, { why, detail, messages, refusals, seconds }: Ended): string {
  const refused = refusals > REFUSALS_MAX ? refusals : null;
  return line(peer, "ended", { why, detail, messages, refused, seconds: seconds.toFixed(3) });
}

/** A client was sent away unheard, by a rule (tcprules(1)); the rule for all has no address. */
export function denied({ id, ip, rule }: { id: string; ip: string; rule: string }): string {
  return line({ id, ip, tls: null, user: null }, "denied", { rule });
}

/** Something that the administrator should know. */
export function warning(text: string): string {
  return `smtpd: warning: ${encode(text, /[^ -$&-~]/g)}\n`;
}

/** What `warning` says when no recipient can be taken. */
export const NO_RCPTHOSTS = "control/rcpthosts is missing: every recipient is refused";

export type SmtpdLogLine =
  | {
      readonly type: "session";
      readonly id: string;
      readonly event: string;
      readonly fields: Readonly<Record<string, string>>;
    }
  | { readonly type: "warning"; readonly text: string };

/** One line without its newline; null for a line that is none of ours. */
export function parseSmtpdLine(text: string): SmtpdLogLine | null {
  const warned = /^smtpd: warning: (.*)$/.exec(text)?.[1];
  if (warned !== undefined) return { type: "warning", text: decode(warned) };
  const match = /^smtpd: (\S+) event=(\S+)((?: (?!reply=)[a-z]+=\S*)*)(?: reply=(.*))?$/.exec(text);
  if (!match) return null;
  const [, id = "", event = "", words = "", reply] = match;
  const fields: Record<string, string> = {};
  for (const [, key = "", value = ""] of words.matchAll(/ ([a-z]+)=(\S*)/g)) {
    fields[key] = decode(value);
  }
  if (reply !== undefined) fields.reply = decode(reply);
  return { type: "session", id, event, fields };
}

function messageFields({ from, to, bytes }: LogMessage): Fields {
  const named = to.slice(0, NAMED_MAX).map(angle).join(",");
  return { from: angle(from), to: named, rcpts: to.length, bytes };
}

function line(
  { id, ip, tls, user }: LogPeer,
  event: string,
  fields: Fields,
  reply?: string,
): string {
  let text = `smtpd: ${id} event=${event}`;
  for (const [key, value] of Object.entries({ ip, tls, user, ...fields })) {
    if (value === null) continue;
    text += ` ${key}=${typeof value === "number" ? value : encode(value, /[^!-$&-~]/g)}`;
  }
  if (reply !== undefined) text += ` reply=${encode(reply.trimEnd(), /[^ -$&-~]/g)}`;
  return `${text}\n`;
}

function angle(address: string): string {
  return `<${address}>`;
}

function encode(text: string, unsafe: RegExp): string {
  return text.replace(unsafe, (byte) => {
    return `%${(byte.charCodeAt(0) & 255).toString(16).toUpperCase().padStart(2, "0")}`;
  });
}

function decode(text: string): string {
  return text.replace(/%([0-9A-F]{2})/g, (_, hex: string) => {
    return String.fromCharCode(Number.parseInt(hex, 16));
  });
}

/** Bytes that may wait for a reader of the log; what comes on top is lost, and counted. */
export const BACKLOG_MAX = 4 << 20;

/** A log whose lines of one turn of the event loop leave in one write. */
export class LogBatch {
  readonly #output: Pick<Writable, "write" | "writableLength">;
  #text = "";
  #lost = 0;

  constructor(output: Pick<Writable, "write" | "writableLength">) {
    this.#output = output;
  }

  add(line: string): void {
    if (this.#output.writableLength + this.#text.length > BACKLOG_MAX) {
      this.#lost++;
      return;
    }
    if (this.#text === "") setImmediate(() => this.flush());
    if (this.#lost > 0) this.#text += warning(`${this.#lost} lines are lost: nobody has read them`);
    this.#lost = 0;
    this.#text += line;
  }

  flush(): void {
    const text = this.#text;
    this.#text = "";
    if (text !== "") this.#output.write(text, "latin1");
  }
}
