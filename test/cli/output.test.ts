import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
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

const MEGABYTE_LINES = `
  const { makeOutput } = await import(process.argv[1]);
  let asked = 0;
  setTimeout(() => process.stderr.write(String(asked)), 300);
  async function* pieces() {
    for (; asked < 64; asked++) yield JSON.stringify("x".repeat(1 << 20));
  }
  await makeOutput(true, { lines: true }).dataLines(pieces());
`;

test("what nobody reads is not asked for: a slow reader costs no memory", async (t) => {
  const module = new URL("../../cli/output.ts", import.meta.url).href;
  const child = spawn(process.execPath, ["--input-type=module", "-e", MEGABYTE_LINES, module], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.after(() => child.kill());
  const [asked] = (await once(child.stderr, "data")) as [Buffer];
  assert.ok(Number(asked.toString()) < 4, asked.toString());
  let size = 0;
  child.stdout.on("data", (chunk: Buffer) => {
    size += chunk.length;
  });
  await once(child, "close");
  assert.equal(size, 64 * ((1 << 20) + 3));
});
