/** The lines of our doors, each read by the parser that stands beside the functions that write it. */

import { parsePop3dLine } from "../pop3d/log.ts";
import { parseQmtpdLine } from "../qmtpd/log.ts";
import { parseSmtpdLine } from "../smtpd/log.ts";
import type { Event, OtherLine } from "./other-lines.ts";

type Fields = Readonly<Record<string, string>>;

/** What each event of a door means; "login" of smtpd is decided by its verdict. */
const EVENTS: Readonly<Record<string, Event>> = {
  accepted: "accepted",
  "refused-message": "refused",
  "refused-sender": "refused",
  "refused-recipient": "refused",
  refused: "refused",
  denied: "denied",
  broken: "ended",
  closed: "ended",
  ended: "ended",
  login: "login",
};

/** What a line of smtpd, submission, ofmipd, pop3d, qmtpd or qmqpd says; null for another's. */
export function parseDoorLine(text: string): OtherLine | null {
  switch (text.slice(0, 5)) {
    case "smtpd":
      return smtpd(text);
    case "pop3d":
      return pop3d(text);
    case "qmtpd":
    case "qmqpd":
      return qmtpd(text);
    default:
      return null;
  }
}

function smtpd(text: string): OtherLine | null {
  const line = parseSmtpdLine(text);
  if (line === null) return null;
  if (line.type === "warning") return { program: "smtpd", event: "trouble", reason: line.text };
  const { id, event, fields } = line;
  const { verdict, reply, detail, why, rule } = fields;
  const failed = event === "login" && verdict !== "ok";
  const reason = failed ? verdict : (reply ?? detail ?? why ?? rule);
  const meaning = failed ? "login-failed" : (EVENTS[event] ?? "note");
  return { program: "smtpd", session: id, event: meaning, ...common(fields, reason) };
}

function pop3d(text: string): OtherLine | null {
  const line = parsePop3dLine(text);
  if (line === null) return null;
  const { session, event, fields } = line;
  // What the POP3 service refuses is a login.
  const meaning = event === "refused" ? "login-failed" : (EVENTS[event] ?? "note");
  return { program: "pop3d", session, event: meaning, ...common(fields, fields.why) };
}

function qmtpd(text: string): OtherLine | null {
  const line = parseQmtpdLine(text);
  if (line === null) return null;
  const { program, session, event, fields } = line;
  const reason = (fields.reply ?? fields.why)?.replaceAll("_", " ");
  return { program, session, event: EVENTS[event] ?? "note", ...common(fields, reason) };
}

function common(fields: Fields, reason: string | undefined): Partial<OtherLine> {
  const { ip, user, tls, from, to, bytes, qp, msgid } = fields;
  return {
    ...(ip === undefined ? {} : { ip }),
    ...(user === undefined ? {} : { user }),
    ...(tls === undefined || tls === "none" ? {} : { tls }),
    ...(from === undefined ? {} : { from: bare(from) }),
    ...(to === undefined ? {} : { to: bare(to) }),
    ...(reason === undefined ? {} : { reason }),
    ...(bytes === undefined ? {} : { bytes: Number(bytes) }),
    ...(qp === undefined ? {} : { qp: Number(qp) }),
    ...(msgid === undefined ? {} : { msgid }),
  };
}

function bare(address: string): string {
  return address.replace(/[<>]/g, "");
}
