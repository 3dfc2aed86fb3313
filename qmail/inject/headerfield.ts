/** Header fields: where their names end and what qmail-inject does with those it knows (C qmail: hfield.c). */

/** What becomes of a field with addresses; fields without a role are kept as they are. */
export type FieldRole =
  | "to-cc"
  | "recipient"
  | "resent-recipient"
  | "sender"
  | "return-path"
  | "drop";

const ROLES: Readonly<Record<string, FieldRole>> = {
  to: "to-cc",
  cc: "to-cc",
  bcc: "recipient",
  "apparently-to": "recipient",
  "resent-to": "resent-recipient",
  "resent-cc": "resent-recipient",
  "resent-bcc": "resent-recipient",
  sender: "sender",
  from: "sender",
  "reply-to": "sender",
  "return-receipt-to": "sender",
  "errors-to": "sender",
  "resent-sender": "sender",
  "resent-from": "sender",
  "resent-reply-to": "sender",
  "return-path": "return-path",
  // It counts the bytes of an mbox on some other machine.
  "content-length": "drop",
};

/** Fields that take their part in the envelope but are not sent. */
const UNSENT = new Set(["bcc", "resent-bcc", "return-path", "content-length"]);

const RESENT = [
  "resent-sender",
  "resent-from",
  "resent-reply-to",
  "resent-to",
  "resent-cc",
  "resent-bcc",
  "resent-date",
  "resent-message-id",
];

/** The name of the field that `line` begins, in lower case; null when it begins none. */
export function fieldName(line: string): string | null {
  const colon = line.indexOf(":");
  if (colon < 0) return null;
  const name = line.slice(0, colon).replace(/[ \t]+$/, "");
  return /^[!-~]+$/.test(name) ? name.toLowerCase() : null;
}

/** What qmail-inject does with the field `name` (lower case). */
export function fieldRole(name: string): FieldRole | undefined {
  return Object.hasOwn(ROLES, name) ? ROLES[name] : undefined;
}

/** Whether the field `name` is taken out of the message. */
export function isUnsent(name: string): boolean {
  return UNSENT.has(name);
}

/** Whether a message with these fields is one sent on by somebody who received it. */
export function isResent(seen: ReadonlySet<string>): boolean {
  return RESENT.some((name) => seen.has(name));
}
