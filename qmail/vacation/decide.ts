/** Whether a message gets a vacation answer (RFC 3834 section 2, and what vacation programs have learnt). Pure. */

import { lowerAscii } from "../control/constmap.ts";
import { addressList } from "../inject/addresslist.ts";
import { fieldName } from "../inject/headerfield.ts";
import { withoutRoute } from "../inject/rewrite.ts";
import { isBounce } from "../local/dotqmail.ts";

export interface Occasion {
  /** Envelope sender. */
  readonly sender: string;
  /** Header fields, whole. */
  readonly fields: readonly string[];
  /** Addresses that are the user; a name without host is meant at every host. */
  readonly mine: readonly string[];
  /** Answer also what is not addressed to the user by name. */
  readonly toAnybody: boolean;
}

/** Senders that are programs: whole local parts, and what they begin or end with. */
const PROGRAMS =
  /^(mailer-daemon|mailer|daemon|postmaster|majordomo|listserv|listproc|uucp|nobody|no-?reply|do-?not-?reply|bounces?)$|^(owner|request|bounces?)-|-(owner|request|relay|bounces?|return|confirm|errors)$|-(owner|return|bounces?)[-+]|^(no-?reply|bounces?)[-+]/;

/** Header fields that only mail of lists and programs has; whatever they say. */
const AUTOMATIC =
  /^(list-.*|mailing-list|x-mailing-list|x-list.*|x-loop|x-autoreply|x-autorespond|x-vacation|x-facebook-notify|feedback-id|x-bulkmail)$/;

const TO_FIELDS = new Set([
  "to",
  "cc",
  "bcc",
  "apparently-to",
  "resent-to",
  "resent-cc",
  "resent-bcc",
]);

/** Why the message gets no answer, for a person to read; null when it gets one. */
export function whyNot({ sender, fields, mine, toAnybody }: Occasion): string | null {
  if (isBounce(sender)) return "it is a bounce";
  const at = sender.lastIndexOf("@");
  if (at < 1) return "its sender is no address";
  if (PROGRAMS.test(lowerAscii(sender.slice(0, at)))) return "its sender is a program or a list";
  if (mine.some((each) => isMe(sender, each))) return "its sender is the user himself";
  for (const field of fields) {
    const why = automatic(fieldName(field) ?? "", field.slice(field.indexOf(":") + 1).trim());
    if (why) return why;
  }
  return toAnybody || namesMe(fields, mine) ? null : "it is not addressed to the user";
}

function automatic(name: string, value: string): string | null {
  const word = lowerAscii(value).replace(/[\s;(].*/s, "");
  const because = `it has ${name}: ${word.slice(0, 50)}`;
  switch (name) {
    case "auto-submitted":
      return word === "no" ? null : because;
    case "precedence":
      return ["bulk", "junk", "list"].includes(word) ? because : null;
    case "x-auto-response-suppress":
      return /\b(all|oof|autoreply)\b/i.test(value) ? because : null;
    case "x-spam-flag":
      return word === "yes" ? because : null;
    case "content-type":
      return word === "multipart/report" ? because : null;
    default:
      return AUTOMATIC.test(name) ? `it has a field ${name}` : null;
  }
}

function namesMe(fields: readonly string[], mine: readonly string[]): boolean {
  return fields.some((field) => {
    if (!TO_FIELDS.has(fieldName(field) ?? "")) return false;
    const addresses = addressesIn(field);
    return addresses.some((address) => mine.some((each) => isMe(address, each)));
  });
}

function addressesIn(field: string): readonly string[] {
  return addressList(field, withoutRoute)?.addresses ?? [];
}

function isMe(address: string, mine: string): boolean {
  const found = lowerAscii(address);
  const wanted = lowerAscii(mine);
  if (wanted.includes("@")) return found === wanted;
  const at = found.lastIndexOf("@");
  return (at < 0 ? found : found.slice(0, at)) === wanted;
}
