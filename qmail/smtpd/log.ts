/**
 * The lines of the SMTP service's log: one function each, and the parser that reads them back.
 *
 *   smtpd: 4711.3 event=accepted ip=192.0.2.1 helo=mx.example from=<a@b> rcpts=1 bytes=815 qp=4712
 *   smtpd: 4711.3 event=ended ip=192.0.2.1 why=quit messages=1 seconds=0.012
 *   smtpd: warning: control/rcpthosts is missing: every recipient is refused
 *
 * Words are `key=value`; bytes that would break a line are written %XX. `reply` is always the last
 * word and goes to the end of the line.
 */

/** Who is meant, in every line of a session. */
export interface LogPeer {
  /** Names the session. */
  readonly id: string;
  readonly ip: string;
}

export interface LogMessage {
  readonly from: string;
  readonly rcpts: number;
  readonly bytes: number;
}

/** A message was queued. */
export function accepted(
  { id, ip }: LogPeer,
  { helo, from, rcpts, bytes, qp }: LogMessage & { helo: string | null; qp: number },
): string {
  return line(id, "accepted", { ip, helo: helo ?? "", from: angle(from), rcpts, bytes, qp });
}

/** A message was refused when it had been sent. */
export function refusedMessage(
  { id, ip }: LogPeer,
  { from, rcpts, bytes, reply }: LogMessage & { reply: string },
): string {
  return line(id, "refused-message", { ip, from: angle(from), rcpts, bytes }, reply);
}

/** MAIL was refused. */
export function refusedSender(
  { id, ip }: LogPeer,
  { from, reply }: { from: string; reply: string },
): string {
  return line(id, "refused-sender", { ip, from: angle(from) }, reply);
}

/** RCPT was refused. */
export function refusedRecipient(
  { id, ip }: LogPeer,
  { from, to, reply }: { from: string; to: string; reply: string },
): string {
  return line(id, "refused-recipient", { ip, from: angle(from), to: angle(to) }, reply);
}

/** Why a session ended. */
export type End =
  | "quit"
  | "disconnected"
  | "timeout"
  | "stray-newline"
  | "unable-to-read-controls"
  | "going-down";

/** A session ended; `messages` is how many were queued. */
export function ended(
  { id, ip }: LogPeer,
  { why, messages, seconds }: { why: End; messages: number; seconds: number },
): string {
  return line(id, "ended", { ip, why, messages, seconds: seconds.toFixed(3) });
}

/** Something that the administrator should know. */
export function warning(text: string): string {
  return `smtpd: warning: ${escape(text, /[^ -$&-~]/g)}\n`;
}

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
  if (warned !== undefined) return { type: "warning", text: unescape(warned) };
  const match = /^smtpd: (\S+) event=(\S+)((?: (?!reply=)[a-z]+=\S*)*)(?: reply=(.*))?$/.exec(text);
  if (!match) return null;
  const [, id = "", event = "", words = "", reply] = match;
  const fields: Record<string, string> = {};
  for (const [, key = "", value = ""] of words.matchAll(/ ([a-z]+)=(\S*)/g)) {
    fields[key] = unescape(value);
  }
  if (reply !== undefined) fields.reply = unescape(reply);
  return { type: "session", id, event, fields };
}

function line(
  id: string,
  event: string,
  fields: Readonly<Record<string, string | number>>,
  reply?: string,
): string {
  let text = `smtpd: ${id} event=${event}`;
  for (const [key, value] of Object.entries(fields)) {
    text += ` ${key}=${typeof value === "number" ? value : escape(value, /[^!-$&-~]/g)}`;
  }
  if (reply !== undefined) text += ` reply=${escape(reply.trimEnd(), /[^ -$&-~]/g)}`;
  return `${text}\n`;
}

function angle(address: string): string {
  return `<${address}>`;
}

function escape(text: string, unsafe: RegExp): string {
  return text.replace(unsafe, (byte) => {
    return `%${(byte.charCodeAt(0) & 255).toString(16).toUpperCase().padStart(2, "0")}`;
  });
}

function unescape(text: string): string {
  return text.replace(/%([0-9A-F]{2})/g, (_, hex: string) => {
    return String.fromCharCode(Number.parseInt(hex, 16));
  });
}

/** A log whose lines of one turn of the event loop leave in one write. */
export class LogBatch {
  readonly #write: (text: string) => void;
  #text = "";

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  add(line: string): void {
    if (this.#text === "") setImmediate(() => this.flush());
    this.#text += line;
  }

  flush(): void {
    const text = this.#text;
    this.#text = "";
    if (text !== "") this.#write(text);
  }
}
