import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  clip,
  columns,
  fit,
  harmless,
  harmlessJson,
  harmlessLines,
  printable,
  printableLines,
} from "../../commands/printable.ts";

const bytes = fc
  .uint8Array({ maxLength: 60 })
  .map((array) => Buffer.from(array).toString("latin1"));
const anything = fc.oneof(fc.string({ unit: "binary" }), bytes, fc.string({ unit: "grapheme" }));

test("nothing that steers a terminal passes, whatever the bytes", () => {
  fc.assert(
    fc.property(bytes, (text) => {
      assert.doesNotMatch(printable(text), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
    }),
  );
  assert.equal(printable("a\x1b]0;title\x07b"), "a?]0;title?b");
  assert.equal(printable("\x9b2J"), "�2J");
  const utf8 = (text: string) => Buffer.from(text).toString("latin1");
  assert.equal(printable(utf8("\u009b2J")), "?2J");
  assert.equal(printable(utf8("evil\u202egnp.exe")), "evil?gnp.exe");
  assert.equal(printable(utf8("\u2066x\u2069 zero\u200bwidth")), "?x? zero?width");
});

test("lines that are made keep their colours and ends, and nothing else that steers; JSON says the same", () => {
  const made = "\u001b[1mname\u001b[22m\tx\n";
  assert.equal(harmlessLines(made), made);
  assert.equal(harmlessLines("\u001b[2J\u009b\u202e\u001b]0;x\u0007\r"), "?[2J???]0;x??");
  fc.assert(
    fc.property(anything, (text) => {
      assert.doesNotMatch(
        // biome-ignore lint/suspicious/noControlCharactersInRegex: colours
        harmlessLines(text).replace(/\u001b\[[\d;]*m|[\n\t]/g, ""),
        /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u,
      );
      const json = harmlessJson(JSON.stringify({ text }, null, 2));
      assert.doesNotMatch(json.replaceAll("\n", ""), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
      assert.deepEqual(JSON.parse(json), { text });
    }),
  );
});

test("what people write stays as it is", () => {
  const utf8 = (text: string) => Buffer.from(text).toString("latin1");
  for (const text of ["ann@example.org", "jürgen@bücher.example", "用户@例子.广告", "Ωμέγα"]) {
    assert.equal(printable(utf8(text)), text);
    assert.equal(harmless(text), text);
  }
});

test("columns: wide characters take two, combining ones none", () => {
  assert.equal(columns("abc"), 3);
  assert.equal(columns("用户"), 4);
  assert.equal(columns("ｱｲｳ"), 3);
  assert.equal(columns("ＡＢ"), 4);
  assert.equal(columns("한국"), 4);
  assert.equal(columns("🎉"), 2);
  assert.equal(columns("e\u0300x"), 2);
  assert.equal(columns("│·…▾"), 4);
});

test("what is clipped fits, and what is fitted is exactly as wide", () => {
  fc.assert(
    fc.property(anything, fc.integer({ min: 0, max: 30 }), (text, width) => {
      const safe = harmless(text);
      assert.ok(columns(clip(safe, width)) <= width);
      assert.equal(columns(fit(safe, width)), width);
      assert.equal(columns(fit(safe, width, "right")), width);
      if (columns(safe) <= width) assert.equal(clip(safe, width), safe);
    }),
  );
  assert.equal(clip("用户例子", 6), "用户…");
  assert.equal(fit("用户例子", 6), "用户… ");
});

/** What becomes of `bytes` that come in pieces of `size`. */
async function shown(bytes: Buffer, size: number): Promise<string> {
  const stream = printableLines();
  for (let at = 0; at < bytes.length; at += size) stream.write(bytes.subarray(at, at + size));
  stream.end();
  let text = "";
  for await (const piece of stream) text += String(piece);
  return text;
}

test("a stream of bytes steers no terminal either, and its lines, tabs and letters stay", async () => {
  const message = "Subject: \x1b]0;x\x07\r\n\n\tjürgen\r\nover\rwritten \x1b[2J\nend";
  for (const size of [1, 3, 1000]) {
    const text = await shown(Buffer.from(message), size);
    assert.equal(text, "Subject: ?]0;x?\n\n\tjürgen\nover?written ?[2J\nend");
  }
  const pieces = fc.record({ text: bytes, size: fc.integer({ min: 1, max: 70 }) });
  await fc.assert(
    fc.asyncProperty(pieces, async ({ text, size }) => {
      const out = await shown(Buffer.from(text, "latin1"), size);
      assert.doesNotMatch(out.replace(/[\t\n]/g, ""), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
    }),
  );
  const long = await shown(Buffer.alloc(200_000, "a"), 10_000);
  assert.equal(long.length, 200_000);
});
