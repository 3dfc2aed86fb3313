/** The rules of qmail-header(5) for addresses, one line each: field in, field out, recipients. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { inject } from "../../../qmail/inject/qmail-inject.ts";
import { makeHome, world } from "./world.ts";

const home = makeHome();

type Row = readonly [to: string, rewritten: string, recipients: readonly string[]];

const HOSTS: readonly Row[] = [
  ["joe@a.b", "joe@a.b", ["joe@a.b"]],
  ["joe", "joe@host.dom.example", ["joe@host.dom.example"]],
  ["joe@h", "joe@h.dom.example", ["joe@h.dom.example"]],
  ["joe@h+", "joe@h.plus.example", ["joe@h.plus.example"]],
  ["joe@h.cs+", "joe@h.cs.plus.example", ["joe@h.cs.plus.example"]],
  ["joe+", "joe+@host.dom.example", ["joe+@host.dom.example"]],
  ["joe+@h", "joe+@h.dom.example", ["joe+@h.dom.example"]],
  ["j.o.e", "j.o.e@host.dom.example", ["j.o.e@host.dom.example"]],
  ["j.o.e@h", "j.o.e@h.dom.example", ["j.o.e@h.dom.example"]],
  ["joe@", "joe@host.dom.example", ["joe@host.dom.example"]],
  ["joe@h.", "joe@h.dom.example", ["joe@h.dom.example"]],
  ["joe@h.d.", "joe@h.d", ["joe@h.d"]],
  ["joe@[1.2.3.4]", "joe@[1.2.3.4]", ["joe@[1.2.3.4]"]],
  ["joe@[ipv6]", "joe@[ipv6]", ["joe@[ipv6]"]],
  ["a@b@c", "a@b@c.dom.example", ["a@b@c.dom.example"]],
  ["#@[]", "#@[]", ["#@[]"]],
  ["joe@h.d-@[]", "joe@h.d-@[]", ["joe@h.d-@[]"]],
  ["JOE@H", "JOE@H.dom.example", ["JOE@H.dom.example"]],
];

const FORMS: readonly Row[] = [
  ["Joe <joe@a.b>", "Joe <joe@a.b>", ["joe@a.b"]],
  ["Joe User <joe>", "Joe User <joe@host.dom.example>", ["joe@host.dom.example"]],
  ['"User, Joe" <joe@a.b>', '"User, Joe" <joe@a.b>', ["joe@a.b"]],
  ["joe@a.b (Joe User)", "joe@a.b (Joe User)", ["joe@a.b"]],
  ["(Joe) joe@a.b", "joe@a.b (Joe)", ["joe@a.b"]],
  ["joe (at) @ (the) a.b", "joe@a.b (at) (the)", ["joe@a.b"]],
  ["Joe (the one) <joe@a.b>", "Joe (the one) <joe@a.b>", ["joe@a.b"]],
  ["<joe (x)@h+>", "<joe@h.plus.example (x)>", ["joe@h.plus.example"]],
  ["<joe@a.b>", "<joe@a.b>", ["joe@a.b"]],
  ["<  joe  @  a . b  >", "<joe@a.b>", ["joe@a.b"]],
  ["joe @ h", "joe@h.dom.example", ["joe@h.dom.example"]],
  ["joe@x <joe@a.b>", "joe@x <joe@a.b>", ["joe@a.b"]],
  ['"joe user"@h', '"joe user"@h.dom.example', ["joe user@h.dom.example"]],
  ['"a\\"quote"@a.b', '"a\\"quote"@a.b', ['a"quote@a.b']],
  ['"The Almighty".One@a.b', '"The Almighty".One@a.b', ["The Almighty.One@a.b"]],
  ["The\\ Almighty@a.b", '"The Almighty"@a.b', ["The Almighty@a.b"]],
  ['< "God"@heaven .af.mil>', '<"God"@heaven.af.mil>', ["God@heaven.af.mil"]],
  ["=?utf-8?q?J=C3=B6rg?= <j@a.b>", "=?utf-8?q?J=C3=B6rg?= <j@a.b>", ["j@a.b"]],
  [
    "=?utf-8?q?J?= =?utf-8?q?=C3=B6?= <j@a.b>",
    "=?utf-8?q?J?= =?utf-8?q?=C3=B6?= <j@a.b>",
    ["j@a.b"],
  ],
  ["dependabot[bot] <b@a.b>", "dependabot[bot] <b@a.b>", ["b@a.b"]],
  [
    "x@[1.2.3.4] [y] <b@a.b>, c",
    "x@[1.2.3.4] [y] <b@a.b>, c@host.dom.example",
    ["b@a.b", "c@host.dom.example"],
  ],
  ["J. R.  Smith (x) <j@a.b>", "J. R.  Smith (x) <j@a.b>", ["j@a.b"]],
  ["J.\n R. Smith <j@a.b>", "J. R. Smith <j@a.b>", ["j@a.b"]],
  ['"a [b] (c)" <j@a.b>', '"a [b] (c)" <j@a.b>', ["j@a.b"]],
  ['"a [b] (c)" <j>', '"a [b] (c)" <j@host.dom.example>', ["j@host.dom.example"]],
  ['j (a [b] "c")', 'j@host.dom.example (a [b] "c")', ["j@host.dom.example"]],
  ["J\xf6rg <j@a.b>", '"J\xf6rg" <j@a.b>', ["j@a.b"]],
  ["j\xf6@a.b", '"j\xf6"@a.b', ["j\xf6@a.b"]],
  ["joe@a.b (J\xf6)", "joe@a.b (J\xf6)", ["joe@a.b"]],
];

const ROUTES: readonly Row[] = [
  ["<@brl.mil:joe@a.b>", "<joe@a.b>", ["joe@a.b"]],
  ["<@x,@y.z:joe@h>", "<joe@h.dom.example>", ["joe@h.dom.example"]],
  ["Joe <@x.y:joe>", "Joe <joe@host.dom.example>", ["joe@host.dom.example"]],
  ["<>", "<>", []],
  ["<>, joe@a.b", "<>, joe@a.b", ["joe@a.b"]],
];

const LISTS: readonly Row[] = [
  ["a@b.c, d@e.f", "a@b.c, d@e.f", ["a@b.c", "d@e.f"]],
  ["a,b", "a@host.dom.example, b@host.dom.example", ["a@host.dom.example", "b@host.dom.example"]],
  [
    "djb fred",
    "djb@host.dom.example, fred@host.dom.example",
    ["djb@host.dom.example", "fred@host.dom.example"],
  ],
  ["djb fred@a.b", "djb@host.dom.example, fred@a.b", ["djb@host.dom.example", "fred@a.b"]],
  ["<a@b.c> <d@e.f>", "<a@b.c>, <d@e.f>", ["a@b.c", "d@e.f"]],
  ["<a@b.c> d@e.f", "<a@b.c>, d@e.f", ["a@b.c", "d@e.f"]],
  ["a@b.c,, d@e.f,", "a@b.c, , d@e.f,", ["a@b.c", "d@e.f"]],
  ["a@b.c,\n\td@e.f", "a@b.c, d@e.f", ["a@b.c", "d@e.f"]],
  ["a@b.c,\r\n\td@e.f\r", "a@b.c, d@e.f", ["a@b.c", "d@e.f"]],
  ["g: a@b.c, d@e.f;", "g: a@b.c, d@e.f;", ["a@b.c", "d@e.f"]],
  [
    "random group: g@h.i, j;, k@l.m",
    "random group: g@h.i, j@host.dom.example;, k@l.m",
    ["g@h.i", "j@host.dom.example", "k@l.m"],
  ],
  ["The A. [Team]: a@b.c;, x@y.z", "The A. [Team]: a@b.c;, x@y.z", ["a@b.c", "x@y.z"]],
  ["g: Joe <a@b.c>;", "g: Joe <a@b.c>;", ["a@b.c"]],
  ['"A Group": a@b.c; , x@y.z', '"A Group": a@b.c;, x@y.z', ["a@b.c", "x@y.z"]],
  ["g: a@b.c; x@y.z", "g: a@b.c;, x@y.z", ["a@b.c", "x@y.z"]],
  ["<x@y.z> g: a@b.c;", "<x@y.z>, g: a@b.c;", ["x@y.z", "a@b.c"]],
  ["recipient list not shown: ;", "recipient list not shown: ;", []],
  ["undisclosed-recipients:;", "undisclosed-recipients: ;", []],
  [
    "a@b, c@d (Somebody), A Person <e@f>,\n  random group: g@h, i@j;, k@l",
    "a@b.dom.example, c@d.dom.example (Somebody), A Person <e@f.dom.example>,\n" +
      "  random group: g@h.dom.example, i@j.dom.example;, k@l.dom.example",
    [
      "a@b.dom.example",
      "c@d.dom.example",
      "e@f.dom.example",
      "g@h.dom.example",
      "i@j.dom.example",
      "k@l.dom.example",
    ],
  ],
  ["", "", []],
];

async function run(text: string, args: readonly string[] = ["-h"]) {
  const context = world(home, text);
  const outcome = await inject(args, context);
  return { ...outcome, message: outcome.message, queue: context.fake };
}

function fieldOf(message: string | null, name: string): string | undefined {
  return new RegExp(`^${name}:((?:.*\\n)(?:[ \\t].*\\n)*)`, "m").exec(message ?? "")?.[1]?.trim();
}

for (const [title, rows] of Object.entries({ HOSTS, FORMS, ROUTES, LISTS })) {
  test(`recipients: ${title.toLowerCase()}`, async () => {
    for (const [to, rewritten, recipients] of rows) {
      const { queue, code } = await run(`To: ${to}\n\n`);
      assert.equal(code, 0, to);
      assert.equal(fieldOf(queue.message, "To"), rewritten, to);
      assert.deepEqual(queue.recipients, recipients, to);
    }
  });
}

test("every field with addresses is rewritten, no other", async () => {
  const rewritten = [
    ...["To", "Cc", "Apparently-To", "Sender", "From", "Reply-To", "Return-Receipt-To"],
    ...["Errors-To", "Resent-Sender", "Resent-From", "Resent-Reply-To", "Resent-To", "Resent-Cc"],
  ];
  for (const name of rewritten) {
    const { queue } = await run(`${name}: joe\n\n`, ["x@y.z"]);
    assert.equal(fieldOf(queue.message, name), "joe@host.dom.example", name);
  }
  for (const name of ["Subject", "X-To", "Received", "Delivered-To", "Mail-Followup-To"]) {
    const { queue } = await run(`${name}: joe  (a) "b\n\n`, ["x@y.z"]);
    assert.equal(fieldOf(queue.message, name), 'joe  (a) "b', name);
  }
});

test("names of fields are known in any case, with space before the colon", async () => {
  const { queue } = await run("TO : a@b.c\nbCC:d@e.f\nfRoM: g\n\n");
  assert.deepEqual(queue.recipients, ["a@b.c", "d@e.f"]);
  assert.match(queue.message ?? "", /^TO: a@b\.c\nfRoM: g@host\.dom\.example\n\n$/m);
});

const MALFORMED: readonly string[] = [
  '"joe@a.b',
  "joe@a.b (unclosed",
  "joe@[1.2.3.4",
  "joe@a.b )",
  "joe@a.b ]",
  "Joe <joe@a.b",
  "Joe joe@a.b>",
  "<a@b.c <d@e.f>",
  "<a@b.c, d@e.f>",
  "<a@b.c;d>",
  "group: a@b.c",
  "a@b.c;; ",
  "g: h: a@b.c;",
  "nul\0@a.b",
  "@",
  ".",
  "@a.b",
  "<@x.y:>",
];

test("a malformed list is refused with its line, when it is to be used", async () => {
  for (const list of MALFORMED) {
    for (const name of ["To", "Cc", "Bcc", "Apparently-To", "From", "Reply-To", "Return-Path"]) {
      const { code, message, queue } = await run(`${name}: ${list}\n\nbody\n`);
      assert.equal(code, 100, list);
      assert.equal(message, `unable to parse this line:\n${name}: ${list}\n`);
      assert.equal(queue.message, null);
    }
  }
});

test("malformed recipient fields pass as they are when the recipients are arguments", async () => {
  for (const list of MALFORMED) {
    const { code, queue } = await run(`To: ${list}\n\n`, ["x@y.z"]);
    assert.equal(code, 0, list);
    assert.deepEqual(queue.recipients, ["x@y.z"]);
    assert.ok(queue.message?.includes(`\nTo: ${list}\n`), list);
  }
});

test("malformed To of a message sent on passes; malformed Resent-To does not", async () => {
  const good = await run('To: "x\nResent-To: a@b.c\n\n');
  assert.deepEqual([good.code, good.queue.recipients], [0, ["a@b.c"]]);
  const bad = await run('To: a@b.c\nResent-To: "x\n\n');
  assert.deepEqual([bad.code, bad.message], [100, 'unable to parse this line:\nResent-To: "x\n']);
});

test("no header makes it fall over, and what it queues it would queue again unchanged", async () => {
  const part = fc.constantFrom(
    ...["joe", "@", "h", ".", "+", "<", ">", ",", ";", ":", "(c)", '"q"', "[1]", " ", "\\", "\n "],
    ...["\xff", "\0", "To: ", "From: ", "Cc:", "\n", "\nResent-To: ", "\nReturn-Path: "],
  );
  const text = fc.array(part, { maxLength: 30 }).map((parts) => parts.join(""));
  await fc.assert(
    fc.asyncProperty(text, async (header) => {
      const first = await run(`To: ${header}\n\nbody`);
      assert.ok(first.code === 0 || first.code === 100);
      if (first.code !== 0) return;
      const second = await run(first.queue.message ?? "");
      assert.equal(second.code, 0);
      assert.equal(second.queue.message, first.queue.message);
    }),
    { numRuns: 2000 },
  );
});
