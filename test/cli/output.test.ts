import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import kleur from "kleur";
import { formatList, formatTable } from "../../cli/output.ts";

test("formatTable() aligns columns, colours not counted, without spaces at the end", () => {
  const before = kleur.enabled;
  kleur.enabled = true;
  try {
    const text = formatTable(
      [{ title: "name" }, { title: "pid", align: "right" }, { title: "note" }],
      [
        [kleur.green("qmail-send"), "7", ""],
        ["x", "1234", "y"],
      ],
    );
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours
    const plain = text.replace(/\u001b\[\d+m/g, "");
    assert.equal(plain, "name         pid  note\nqmail-send     7\nx           1234  y\n");
    assert.notEqual(text, plain);
  } finally {
    kleur.enabled = before;
  }
});

test("formatList() is JSON.stringify() in pieces", () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue({ maxDepth: 2 }), { maxLength: 5 }), (values) => {
      const text = [...formatList(values)].join("");
      assert.equal(text, `${JSON.stringify(values, null, 2)}\n`);
    }),
  );
});

test("formatTable() takes more rows than a function takes arguments", () => {
  const rows = Array.from({ length: 300_000 }, (_, at) => [String(at), "x"]);
  const text = formatTable([{ title: "number", align: "right" }, { title: "letter" }], rows);
  assert.match(text, /\n299999 {2}x\n$/);
});
