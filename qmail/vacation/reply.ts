/** The vacation answer as a message (RFC 3834 section 3). Pure; byte strings. */

import { fieldName } from "../inject/headerfield.ts";
import { quoteAddress } from "../quote.ts";

export interface ReplyTo {
  /** Who gets the answer. */
  readonly sender: string;
  /** Who answers. */
  readonly from: string;
  /** Header fields of the message that is answered. */
  readonly fields: readonly string[];
}

/** A field of the message answered is taken over no longer than this. */
const FIELD_MAX = 500;

/** Fields that the template may not say otherwise. */
const FIXED = new Set(["to", "auto-submitted", "in-reply-to", "references", "return-path"]);

/**
 * The answer that `template` makes: header fields of its own, if it begins with some, then the text, where
 * `$SUBJECT` and `$SENDER` stand for those of the message.
 */
export function reply(template: string, to: ReplyTo): string {
  const subject = value(to.fields, "subject");
  const text = template.replace(/\$(SUBJECT|SENDER)/g, (word) =>
    word === "$SUBJECT" ? subject : to.sender,
  );
  const { header, body } = split(text);
  const own = header.filter((field) => !FIXED.has(fieldName(field) ?? ""));
  const has = (name: string) => own.some((field) => fieldName(field) === name);
  const fields = [
    ...(has("from") ? [] : [`From: ${quoteAddress(to.from)}\n`]),
    `To: ${quoteAddress(to.sender)}\n`,
    ...(has("subject") ? [] : [`Subject: Auto: ${subject === "" ? "your message" : subject}\n`]),
    ...own,
    "Auto-Submitted: auto-replied\n",
    ...thread(to.fields),
  ];
  return `${fields.join("")}\n${body}`;
}

/** In-Reply-To and References (RFC 5322 section 3.6.4). */
function thread(fields: readonly string[]): string[] {
  const id = /<[^<>\s]+>/.exec(value(fields, "message-id"))?.[0];
  if (id === undefined) return [];
  const before = value(fields, "references") || value(fields, "in-reply-to");
  const earlier = before.match(/<[^<>\s]+>/g) ?? [];
  return [`In-Reply-To: ${id}\n`, `References: ${[...earlier, id].join("\n ")}\n`];
}

/** The first field `name` on one line. */
function value(fields: readonly string[], name: string): string {
  const field = fields.find((each) => fieldName(each) === name) ?? "";
  const text = field.slice(field.indexOf(":") + 1);
  return text.replace(/\s+/g, " ").trim().slice(0, FIELD_MAX);
}

function split(text: string): { header: string[]; body: string } {
  const header: string[] = [];
  let rest = text;
  for (let line = firstLine(rest); fieldName(line) !== null; line = firstLine(rest)) {
    rest = rest.slice(line.length);
    let field = line;
    for (let more = firstLine(rest); /^[ \t]/.test(more); more = firstLine(rest)) {
      rest = rest.slice(more.length);
      field += more;
    }
    header.push(field.endsWith("\n") ? field : `${field}\n`);
  }
  if (header.length === 0) return { header, body: text };
  // A header ends in an empty line; what has none was text that happens to have a colon.
  if (!rest.startsWith("\n") && rest !== "") return { header: [], body: text };
  return { header, body: rest.slice(1) };
}

function firstLine(text: string): string {
  const end = text.indexOf("\n");
  return end < 0 ? text : text.slice(0, end + 1);
}
