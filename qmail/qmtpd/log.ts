/**
 * The lines that the QMTP and QMQP services log: one function each, and the parser that reads them back.
 *
 *   qmtpd 3: accepted qp=4712 ip=192.0.2.1 from=<a@b> rcpts=2 bytes=815 msgid=<c@d>
 *   qmtpd 3: refused ip=192.0.2.1 from=<a@b> reply=Dsorry,_I_can't_handle_that_recipient_(#5.1.3)
 *   qmqpd 4: broken ip=192.0.2.1 why=not_in_relayFrom
 */

import { oneLine } from "../warn.ts";

/** Values are printable and without spaces, so `key=value` words can be split anywhere. */
function line(
  id: string,
  event: string,
  fields: Readonly<Record<string, string | number>>,
): string {
  const words = Object.entries(fields).map(
    ([key, value]) => `${key}=${String(value).replace(/[^!-~]/g, "_")}`,
  );
  return `${id}: ${[event, ...words].join(" ")}\n`;
}

export interface Handled {
  readonly ip: string;
  readonly from: string;
  readonly bytes: number;
}

/** A message was queued. `id` names protocol and session. */
export function accepted(
  id: string,
  what: Handled & { rcpts: number; qp: number; msgid: string | null },
): string {
  const { ip, from, bytes, rcpts, qp, msgid } = what;
  const named = msgid === null ? {} : { msgid };
  return line(id, "accepted", { qp, ip, from: `<${from}>`, rcpts, bytes, ...named });
}

/** A message, or one of its recipients, was refused; `reply` is what the client was told. */
export function refused(id: string, { ip, from, reply }: Handled & { reply: string }): string {
  return line(id, "refused", { ip, from: `<${from}>`, reply });
}

/** A session ended in the middle of a message. */
export function broken(id: string, ip: string, why: string): string {
  return line(id, "broken", { ip, why });
}

/** Something that the administrator should know. */
export function warning(text: string): string {
  return `warning: ${oneLine(text)}\n`;
}

export interface QmtpdLogLine {
  readonly program: string;
  readonly session: string;
  readonly event: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** One line without its newline; null for a line that is none of ours. Warnings are in no form of their own. */
export function parseQmtpdLine(text: string): QmtpdLogLine | null {
  const match = /^(qm[tq]pd) (\d+): (accepted|refused|broken)((?: [a-z]+=\S*)+)$/.exec(text);
  if (!match) return null;
  const [, program = "", session = "", event = "", words = ""] = match;
  const pairs = Array.from(words.matchAll(/ ([a-z]+)=(\S*)/g), ([, key, value]) => [key, value]);
  return { program, session, event, fields: Object.fromEntries(pairs) };
}
