import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HeaderBody } from "../../../qmail/inject/headerbody.ts";

function split(pieces: readonly string[]): { fields: string[]; body: string } {
  const fields: string[] = [];
  const parser = new HeaderBody((field) => fields.push(field));
  const body: Buffer[] = [];
  for (const piece of pieces) body.push(...parser.push(Buffer.from(piece, "latin1")));
  body.push(...parser.end());
  return { fields, body: Buffer.concat(body).toString("latin1") };
}

const CASES: readonly (readonly [why: string, message: string, fields: string[], body: string])[] =
  [
    ["header and body", "A: b\nC: d\n\nbody\n", ["A: b\n", "C: d\n"], "\nbody\n"],
    ["nothing", "", [], ""],
    ["no body", "A: b\n", ["A: b\n"], ""],
    ["no body, blank line", "A: b\n\n", ["A: b\n"], "\n"],
    ["no newline after the header", "A: b", ["A: b\n"], ""],
    ["no newline after the body", "A: b\n\nbody", ["A: b\n"], "\nbody\n"],
    ["no header", "\nbody\n", [], "\nbody\n"],
    ["no header, no blank line", "just text\nmore\n", [], "\njust text\nmore\n"],
    ["text after the header", "A: b\nhello\n", ["A: b\n"], "\nhello\n"],
    ["text without newline", "hello", [], "\nhello\n"],
    ["folded", "A: b\n c\n\td\nE: f\n\n", ["A: b\n c\n\td\n", "E: f\n"], "\n"],
    ["a line of one space goes on", "A: b\n \n\nx", ["A: b\n \n"], "\nx\n"],
    ["spaces first", " A: b\n\nx\n", [], "\n A: b\n\nx\n"],
    ["space before the colon", "A \t: b\n\n", ["A \t: b\n"], "\n"],
    ["space in the name", "A b: c\n\n", [], "\nA b: c\n\n"],
    ["no name", ": c\n\n", [], "\n: c\n\n"],
    ["8-bit name", "\xe9: c\n\n", [], "\n\xe9: c\n\n"],
    [
      "mbox line",
      "From joe Thu\nA: b\n\nFrom x\n",
      ["MBOX-Line: From joe Thu\n", "A: b\n"],
      "\nFrom x\n",
    ],
    [
      "quoted mbox lines",
      ">From joe Mon 12:34:56\nA: b\n>From x\nC: d\n\n>From y\n",
      ["MBOX-Line: >From joe Mon 12:34:56\n", "A: b\n", "MBOX-Line: >From x\n", "C: d\n"],
      "\n>From y\n",
    ],
    ["CR is no blank line", "A: b\r\n\r\nx\r\n", ["A: b\r\n"], "\n\r\nx\r\n"],
    ["header-like body", "A: b\n\nC: d\n\nE: f\n", ["A: b\n"], "\nC: d\n\nE: f\n"],
    ["any bytes in the body", "A: b\n\n\0\xff\r\n", ["A: b\n"], "\n\0\xff\r\n"],
  ];

for (const [why, message, fields, body] of CASES) {
  test(`header and body: ${why}`, () => {
    assert.deepEqual(split([message]), { fields, body });
    assert.deepEqual(split([...message]), { fields, body }, "byte by byte");
  });
}

test("where the pieces end makes no difference", () => {
  const text = fc
    .array(fc.constantFrom("A", ":", " ", "\n", "\n\n", "\r", "From ", "b", "\xe9", "\0"))
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 9 }), (message, size) => {
      const pieces = message.match(new RegExp(`[^]{1,${size}}`, "g")) ?? [];
      assert.deepEqual(split(pieces), split([message]));
    }),
    { numRuns: 1000 },
  );
});

test("an endless line that is no field is passed through, not collected", () => {
  const parser = new HeaderBody(() => assert.fail("no field"));
  const chunk = Buffer.alloc(65536, "x");
  let passed = 0;
  for (let i = 0; i < 100; i++) {
    for (const piece of parser.push(chunk)) passed += piece.length;
  }
  assert.equal(passed, 1 + 100 * chunk.length);
  assert.deepEqual(parser.end(), [Buffer.from("\n")]);
});

test("a header field of megabytes comes whole", () => {
  const value = "y".repeat(65536);
  const { fields, body } = split(["X: ", ...Array(64).fill(value), "\n", " ", value, "\n\nb"]);
  assert.equal(fields.length, 1);
  assert.equal(fields[0]?.length, 3 + 65 * 65536 + 3);
  assert.equal(body, "\nb\n");
});
