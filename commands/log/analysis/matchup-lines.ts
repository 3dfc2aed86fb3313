/** The lines that matchup writes, read back: what qmailanalog's z-programs take in (qmail/log/matchup.ts). */

import { DEFERRAL, FAILURE, SUCCESS } from "../../../qmail/log/send-scanner.ts";
import type { Matcher, OpenMessage } from "./matcher.ts";

const D = 100;
const M = 109;
const QUESTION = 63;
const SPACE = 32;
const OUTCOMES: Readonly<Record<string, number>> = { k: SUCCESS, z: DEFERRAL, d: FAILURE };
/** d result birth dstart ddone bytes <sender> channel.recipient qp uid reason */
const DELIVERY =
  /^d ([kzd]) ([\d.]+) ([\d.]+) ([\d.]+) (\d+) (<\S*>|\?) ((local|remote)\.\S*) (\d+|\?) (\d+|\?)(?: (\S+))?/;
/** m birth done bytes successes failures deferrals <sender> qp uid */
const MESSAGE = /^m ([\d.]+) ([\d.]+) (\d+) (\d+) (\d+) (\d+) <(\S*)> (\d+) (\d+)$/;

/** True when the line may be one of matchup's: it begins with "d ", "m " or "? ". */
export function mayBeMatchup(bytes: Uint8Array, from: number): boolean {
  return (
    (bytes[from] === D || bytes[from] === M || bytes[from] === QUESTION) &&
    bytes[from + 1] === SPACE
  );
}

/** Tells `matcher` what the line says; false when it is none. */
export function readMatchup(matcher: Matcher, line: string): boolean {
  // What matchup does not count it passes on, as the lines of bounces.
  if (line.startsWith("? ")) return true;
  const delivery = DELIVERY.exec(line);
  if (delivery) {
    readDelivery(matcher, delivery);
    return true;
  }
  const message = MESSAGE.exec(line);
  if (message) readMessage(matcher, message);
  return message !== null;
}

function readDelivery(matcher: Matcher, fields: RegExpExecArray): void {
  const [, result = "", birth, dstart, ddone, size, sender = "", recipient = "", channel] = fields;
  const [qp, uid, reason = ""] = fields.slice(9);
  const start = Number(dstart) * 1000;
  const message =
    sender === "?"
      ? null
      : openMessage(matcher, sender.slice(1, -1), { birth, bytes: size, qp, uid });
  const bytes = Buffer.from(reason, "latin1");
  const delivery = { number: 0, message, local: channel === "local", start };
  matcher.ms = Number(ddone) * 1000;
  matcher.attempted(
    { ...delivery, ...matcher.recipientRows(recipient) },
    { outcome: OUTCOMES[result] as number, done: matcher.ms, bytes, from: 0, to: bytes.length },
  );
}

function readMessage(matcher: Matcher, fields: RegExpExecArray): void {
  const [, birth, done, bytes, successes, failures, deferrals, sender = "", qp, uid] = fields;
  const message = openMessage(matcher, sender, { birth, bytes, qp, uid });
  message.successes = Number(successes);
  message.failures = Number(failures);
  message.deferrals = Number(deferrals);
  matcher.whole(message, Number(done) * 1000);
}

function openMessage(
  matcher: Matcher,
  sender: string,
  { birth, bytes, qp, uid }: Record<"birth" | "bytes" | "qp" | "uid", string | undefined>,
): OpenMessage {
  return {
    id: 0,
    birth: Number(birth) * 1000,
    bytes: Number(bytes),
    qp: Number(qp),
    uid: Number(uid),
    sender: matcher.senderRow(sender),
    successes: 0,
    failures: 0,
    deferrals: 0,
    tried: Number.NaN,
  };
}
