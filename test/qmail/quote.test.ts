import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { quote, quoteAddress, quoteNeeded } from "../../qmail/quote.ts";

const ADDRESSES: readonly (readonly [address: string, quoted: string])[] = [
  ["", ""],
  ["joe", "joe"],
  ["joe@here.example", "joe@here.example"],
  ["joe.user+tag@here.example", "joe.user+tag@here.example"],
  ["!#$%&'*+-/=?^_`{|}~@x", "!#$%&'*+-/=?^_`{|}~@x"],
  ["The Almighty.One@heaven.af.mil", '"The Almighty.One"@heaven.af.mil'],
  ['a"quote@heaven.af.mil', '"a\\"quote"@heaven.af.mil'],
  ["back\\slash@x", '"back\\\\slash"@x'],
  ["@at@@heaven.af.mil", '"@at@"@heaven.af.mil'],
  ["@heaven.af.mil", '""@heaven.af.mil'],
  [".joe@x", '".joe"@x'],
  ["joe.@x", '"joe."@x'],
  ["j..oe@x", '"j..oe"@x'],
  [".@x", '"."@x'],
  ["a\rb\nc@x", '"a\\\rb\\\nc"@x'],
  ["joe\n@x", '"joe\\\n"@x'],
  ["j\xf6rg@x", '"j\xf6rg"@x'],
  ["a\0b@x", '"a\0b"@x'],
  ["del\x7f@x", '"del\x7f"@x'],
  ["joe@[127.0.0.1]", "joe@[127.0.0.1]"],
  ["a,b", '"a,b"'],
];

test("an address is quoted where its local part needs it", () => {
  for (const [address, quoted] of ADDRESSES) assert.equal(quoteAddress(address), quoted);
});

test("an empty local part needs quotes", () => {
  assert.equal(quoteNeeded(""), true);
  assert.equal(quote(""), '""');
});

test("taking the quotes off gives the local part back", () => {
  const bytes = fc.uint8Array().map((array) => Buffer.from(array).toString("latin1"));
  fc.assert(
    fc.property(bytes, (box) => {
      const quoted = quote(box);
      const plain = quoteNeeded(box) ? quoted.slice(1, -1).replace(/\\(.)/gs, "$1") : quoted;
      assert.equal(plain, box);
    }),
  );
});

test("a long box that fails at its end is decided quickly", () => {
  assert.equal(quoteNeeded(`${"a.".repeat(100_000)} `), true);
});
