import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { expand, type Tables } from "../../../qmail/forward/expand.ts";
import { formatMaillist, parseMaillist } from "../../../qmail/forward/maillist.ts";
import { formatTable, parseTable, TableError } from "../../../qmail/forward/table.ts";

/** Byte strings without NUL, with what has a meaning in them. */
const text = fc.string({
  unit: fc.oneof(
    fc.constantFrom(..."&?|!./,:;\\# \t\n"),
    fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)),
  ),
  maxLength: 20,
});
const command = fc
  .tuple(fc.constantFrom("&", "|", "!", ".", "/"), text)
  .map(([kind, rest]) => kind + rest);
const target = text.map((name) => name.replace(/[A-Z]/g, (letter) => letter.toLowerCase()));
const plain = { noNullPrototype: true };
const record = fc.oneof(
  fc.record(
    {
      key: target.map((name) => `:${name}`),
      data: fc.array(command, { minLength: 1, maxLength: 4 }).map((all) => `${all.join("\0")}\0`),
    },
    plain,
  ),
  fc.record({ key: target.map((name) => `?${name}`), data: text }, plain),
);

test("a table that is printed and read again has the same records", () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 5 }), (records) => {
      assert.deepEqual(parseTable(formatTable(records)), records);
    }),
  );
});

test("a list that is printed and read again is the same", () => {
  const entry = fc
    .tuple(fc.constantFrom("&", ".", "/"), text)
    .map(([kind, rest]) => (kind + rest).replace(/\n/g, "").replace(/[ \t]+$/, ""));
  fc.assert(
    fc.property(fc.array(entry), (entries) => {
      const list = entries.map((each) => `${each}\0`).join("");
      assert.equal(parseMaillist(formatMaillist(list)), list);
    }),
  );
});

test("what is neither table nor list is refused, never anything else", () => {
  fc.assert(
    fc.property(fc.string(), (garbage) => {
      for (const read of [parseTable, parseMaillist, formatMaillist]) {
        try {
          read(garbage);
        } catch (error) {
          assert.ok(error instanceof TableError);
        }
      }
    }),
  );
});

function tables(text: string, lists: Readonly<Record<string, readonly string[]>> = {}): Tables {
  const records = new Map(parseTable(text).map(({ key, data }) => [key, data]));
  return { get: (key) => records.get(key) ?? null, list: (file) => lists[file] ?? [] };
}

test("targets: exact before host before user; owners likewise, but never for bounces", () => {
  const table = tables("a@h: &1@x; @h: &2@x, ?o@x; a@: &3@x;");
  const to = (address: string) => expand(address, "s@x", table);
  assert.deepEqual(to("A@H"), { programs: [], recipients: ["1@x"], owner: "o@x" });
  assert.deepEqual(to("b@h")?.recipients, ["2@x"]);
  assert.deepEqual(to("a@other"), { programs: [], recipients: ["3@x"], owner: null });
  assert.equal(to("b@other"), null);
  assert.equal(expand("b@h", "", table)?.owner, null);
  assert.equal(expand("b@h", "#@[]", table)?.owner, null);
});

test("circles end, each address counts once, and a list runs no program", () => {
  const table = tables("a@h: &b@h, &c@x, |one; b@h: &a@h, &b@h, &c@x, ./l, !two;", {
    "./l": ["&d@x", "./l", "|three", "!four", "?o@x", "&a@h"],
  });
  const plan = expand("a@h", "s@x", table);
  assert.deepEqual(plan?.recipients, ["c@x", "d@x"]);
  assert.deepEqual(plan?.programs, ["!two", "|one"]);
});

test("a target with an owner is mailed to, and a chain of any length is followed", () => {
  const owned = tables("a@h: &l@h; l@h: ?o@h, &m@x;");
  assert.deepEqual(expand("a@h", "s@x", owned)?.recipients, ["l@h"]);
  const links = Array.from({ length: 20_000 }, (_, at) => `a${at}@h: &a${at + 1}@h;`);
  assert.deepEqual(expand("a0@h", "s@x", tables(links.join("\n")))?.recipients, ["a20000@h"]);
});
