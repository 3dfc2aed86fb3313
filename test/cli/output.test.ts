import assert from "node:assert/strict";
import { test } from "node:test";
import kleur from "kleur";
import { formatTable } from "../../cli/output.ts";

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
