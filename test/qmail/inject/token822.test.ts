import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Token, tokenise, unparse, unquote, word } from "../../../qmail/inject/token822.ts";

const bytes = fc.uint8Array({ maxLength: 60 }).map((a) => Buffer.from(a).toString("latin1"));
/** Texts in which the characters that matter are frequent. */
const fieldText = fc
  .array(fc.constantFrom(...'ab.@,;:<>()[]"\\ \t\r\n+\xe9\0'), { maxLength: 40 })
  .map((chars) => chars.join(""));

const oneLine = bytes.map((text) => text.replaceAll("\n", ""));

const token: fc.Arbitrary<Token> = fc.oneof(
  oneLine.map(word),
  fc
    .tuple(fc.constantFrom("quote" as const, "literal" as const, "comment" as const), oneLine)
    .map(([type, text]) => ({ type, text })),
  fc
    .constantFrom(...(["<", ">", "@", ",", ";", ":", "."] as const))
    .map((char) => ({ type: char, text: char })),
);

function shown(text: string): string | null {
  const tokens = tokenise(text);
  return tokens?.map(({ type, text: inner }) => `${type}=${inner}`).join(" ") ?? null;
}

test("words and specials", () => {
  assert.equal(shown("joe@here.x"), "atom=joe @=@ atom=here .=. atom=x");
  assert.equal(shown('"a b" <c>'), "quote=a b <=< atom=c >=>");
  assert.equal(shown('"a\\"b\\\\"'), 'quote=a"b\\');
  assert.equal(shown("[1.2.3.4]"), "literal=1.2.3.4");
  assert.equal(shown("(a (b) \\) c)"), "comment=a b ) c");
  assert.equal(shown(" \t\r\n"), "");
  assert.equal(shown("x\\ y"), "quote=x y");
  assert.equal(shown("a\xe9"), "quote=a\xe9");
  assert.equal(shown("a)b"), "quote=a)b");
  assert.equal(shown("end\\"), "atom=end");
});

test("a folded line inside quotes is one line", () => {
  assert.equal(shown('"long\n name"'), "quote=long name");
  assert.equal(shown('"long\r\n\tname"'), "quote=long\tname");
  assert.equal(shown('"escaped\\\n newline"'), "quote=escaped newline");
});

test("what is not closed or not opened is malformed", () => {
  for (const text of ['"a', "(a", "((a)", "[a", '"a\\', "(a\\", "[a\\", ")", "]", "a )", "a ]"]) {
    assert.equal(tokenise(text), null, text);
  }
});

test("unparse gives tokens back", () => {
  fc.assert(
    fc.property(fc.array(token), (tokens) => {
      assert.deepEqual(tokenise(unparse(tokens)), tokens);
    }),
    { numRuns: 1000 },
  );
});

test("any bytes are tokenised or refused, and stay as they are from then on", () => {
  fc.assert(
    fc.property(fc.oneof(bytes, fieldText), (text) => {
      const tokens = tokenise(text);
      if (tokens) assert.deepEqual(tokenise(unparse(tokens)), tokens);
    }),
    { numRuns: 3000 },
  );
});

test("unparse ends in the only newline, or one before each further line's spaces", () => {
  fc.assert(
    fc.property(fc.array(token), (tokens) => {
      const lines = unparse(tokens).split("\n");
      assert.equal(lines.pop(), "");
      for (const line of lines.slice(1)) assert.match(line, /^ .*\S/s);
    }),
  );
});

test("long lists are folded after commas", () => {
  const tokens = tokenise(`To: ${Array(12).fill("somebody@somewhere.example").join(",")}`);
  const lines = unparse(tokens ?? []).split("\n");
  assert.equal(lines.length, 7);
  assert.equal(lines[0], "To: somebody@somewhere.example, somebody@somewhere.example,");
  assert.equal(lines[1], "  somebody@somewhere.example, somebody@somewhere.example,");
  for (const line of lines) assert.ok(line.length <= 80);
});

test("unquote leaves quotes and comments out", () => {
  const tokens = tokenise('"a b".c@(here) host.[1.2.3.4]') ?? [];
  assert.equal(unquote(tokens), "a b.c@host.[1.2.3.4]");
});

test("a megabyte in one word", () => {
  const text = `To: ${"x".repeat(1_000_000)}@${'"y'.repeat(2)}${"(".repeat(500_000)}`;
  assert.equal(tokenise(text), null);
  const long = `"${"\\x".repeat(1_000_000)}"`;
  assert.equal(tokenise(long)?.[0]?.text.length, 1_000_000);
});
