/**
 * Messages from a comparison with C qmail's qmail-inject on generated headers, environments and
 * arguments: where both answer alike, and, in the second table, where this one means to differ.
 */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { inject } from "../../../qmail/inject/qmail-inject.ts";
import { makeHome, world } from "./world.ts";

const home = makeHome();
const lists = join(home, "lists");
writeFileSync(lists, "list@a.b\n");

interface Case {
  readonly text: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly sender?: string;
  readonly recipients?: readonly string[];
  /** Lines that the message has. */
  readonly lines: readonly string[];
}

const HOST = "host.dom.example";

const ALIKE: Readonly<Record<string, Case>> = {
  "a folded line first of all is body": {
    text: " folded\nTo: a@b.c\n",
    args: ["r"],
    recipients: [`r@${HOST}`],
    lines: ["", " folded", "To: a@b.c"],
  },
  "an empty field name begins the body": { text: "To: a@b.c\n: no\n", lines: ["", ": no"] },
  "a name with a space in it begins the body": {
    text: "bad name: x\n",
    lines: ["", "bad name: x"],
  },
  "a line From in the middle": { text: "To: a@b.c\nFrom x y\n\n", lines: ["MBOX-Line: From x y"] },
  "fields about replies stay as they are": {
    text: "Mail-Reply-To: b+ +\nMail-Followup-To:\tjoe@,\n a@b\nNotice-Requested-Upon-Delivery-To:j@h.c+ x\n\n",
    args: ["r@h.d"],
    lines: [
      "Mail-Reply-To: b+ +",
      "Mail-Followup-To:\tjoe@,",
      " a@b",
      "Notice-Requested-Upon-Delivery-To:j@h.c+ x",
    ],
  },
  "Return-Path of several counts from the right": {
    text: "Return-Path: a b, <e@f.g>, c\nTo: x@y.z\n\n",
    sender: `c@${HOST}`,
    lines: ["To: x@y.z"],
  },
  "Return-Path with a route, a missing comma": {
    text: "Return-Path:\t<@r,@s:a@b> #@[]\nTo: x@y.z\n\n",
    sender: "#@[]",
    lines: [],
  },
  "nested comments lose their inner brackets": {
    text: "To: joe@h.d (c (d))\n\n",
    lines: ["To: joe@h.d (c d)"],
  },
  "an illegal space becomes a comma": {
    text: "Reply-To: joe@h.d list@a.b\n\n",
    args: ["r@h.d"],
    lines: ["Reply-To: joe@h.d, list@a.b"],
  },
  "an empty host in an argument": {
    text: "\n",
    args: ["r@", "r@h.d.", "@x", "a@b@c"],
    recipients: [`r@${HOST}`, "r@h.d", "@x.dom.example", "a@b@c.dom.example"],
    lines: [],
  },
  "an argument that is a VERP stays": {
    text: "\n",
    args: ["x@a@[]", "l-@h.d-@[]"],
    recipients: ["x@a@[]", "l-@h.d-@[]"],
    lines: [],
  },
  "an empty sender name by QMAILSUSER": {
    text: "To: a@b.c\n\n",
    env: { USER: "usr", QMAILSUSER: "" },
    sender: `@${HOST}`,
    lines: [`From: usr@${HOST}`],
  },
  "all letters at once": {
    text: "Return-Path: <no@x.y>\nFrom: no\nMessage-ID: <no>\nTo: a@b.c\n\n",
    env: { USER: "usr", NAME: "A (B)", QMAILINJECT: "csfirm" },
    sender: `usr-1000000000.42-@${HOST}-@[]`,
    lines: [`From: usr@${HOST} (A \\(B\\))`, "Message-ID: <20010909014640.42.qmail@id.example>"],
  },
};

const DIFFERENT: Readonly<Record<string, Case & { readonly instead: string }>> = {
  "recipients go from left to right": {
    instead: "from right to left in each field",
    text: "To: a@b.c, d@e.f\nCc: g@h.i\n\n",
    recipients: ["a@b.c", "d@e.f", "g@h.i"],
    lines: [],
  },
  "Mail-Followup-To in the order of the fields": {
    instead: "the last field first",
    text: "To: x@y.z, list@a.b\nCc: c@d.e\n\n",
    env: { USER: "usr", QMAILMFTFILE: lists },
    lines: ["Mail-Followup-To: x@y.z,", "  list@a.b,", "  c@d.e"],
  },
  "<> in a list of recipients is nobody": {
    instead: "an empty recipient in the envelope",
    text: "To: <>, a@b.c\n\n",
    recipients: ["a@b.c"],
    lines: ["To: <>, a@b.c"],
  },
  "a group beside a mailbox": {
    instead: "the mailbox is taken for the group's name and gets nothing",
    text: 'To: "J, D" <j@d> g: a@b, c;\n\n',
    recipients: ["j@d.dom.example", "a@b.dom.example", `c@${HOST}`],
    lines: [`To: "J, D" <j@d.dom.example>, g: a@b.dom.example, c@${HOST};`],
  },
  "a group beside a group": {
    instead: "the field is not understood",
    text: "To: g: a@b.c; h: d@e.f;\n\n",
    recipients: ["a@b.c", "d@e.f"],
    lines: ["To: g: a@b.c;, h: d@e.f;"],
  },
  "a mailbox beside a mailbox gets its comma": {
    instead: "no comma, which other programs do not read",
    text: "To: Joe <a@b.c> <d@e.f>\n\n",
    recipients: ["a@b.c", "d@e.f"],
    lines: ["To: Joe <a@b.c>, <d@e.f>"],
  },
  "an atom with an escaped space is quoted": {
    instead: "the bare space, another address for who reads it",
    text: "To: a\\ b@c\n\n",
    recipients: ["a b@c.dom.example"],
    lines: ['To: "a b"@c.dom.example'],
  },
  "a comment in angle brackets does not hide the plus sign": {
    instead: "h+ is taken for a host without dots",
    text: "To: <joe@h+ (x)>\n\n",
    recipients: ["joe@h.plus.example"],
    lines: ["To: <joe@h.plus.example (x)>"],
  },
  "a host that is an address keeps its brackets": {
    instead: "they are escaped, and the dots torn apart",
    text: "To: a@b.c\n\n",
    env: { USER: "usr", QMAILHOST: "[1.2.3.4]" },
    lines: ["From: usr@[1.2.3.4]"],
  },
  "an empty name is no name": {
    instead: 'From: "" <usr@...>',
    text: "To: a@b.c\n\n",
    env: { USER: "usr", QMAILNAME: "" },
    lines: [`From: usr@${HOST}`],
  },
  "an empty user is anonymous": {
    instead: '""@host, which SMTP does not carry',
    text: "To: a@b.c\n\n",
    env: { USER: "" },
    sender: `anonymous@${HOST}`,
    lines: [`From: anonymous@${HOST}`],
  },
};

for (const [group, table] of Object.entries({ ALIKE, DIFFERENT })) {
  for (const [name, wanted] of Object.entries(table)) {
    test(`${group.toLowerCase()}: ${name}`, () => check(wanted));
  }
}

async function check({ text, args, env, sender, recipients, lines }: Case): Promise<void> {
  const context = world(home, text, { env: { ...(env ?? { USER: "usr" }) } });
  assert.deepEqual((await inject(args ?? [], context)).message, "");
  const { fake } = context;
  if (sender !== undefined) assert.equal(fake.sender, sender);
  if (recipients !== undefined) assert.deepEqual(fake.recipients, recipients);
  const all = fake.message?.split("\n");
  for (const line of lines) assert.ok(all?.includes(line), `${line}\n--- in\n${fake.message}`);
}
