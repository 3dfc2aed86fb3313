import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { naming, SUM, TallyTable } from "../../../commands/log/analysis/tally.ts";

const FOLDED = naming("remote.", { fold: true });
const EXACT = naming("", { fold: false });

function add(table: TallyTable, name: string, kind = EXACT): number {
  const bytes = Buffer.from(name, "latin1");
  const row = table.row(bytes, 0, bytes.length, kind);
  table.add(row, SUM.messages, 1);
  return row;
}

test("as many names as there are, each with its count, whatever their bytes", () => {
  const names = fc.array(fc.string({ unit: "binary", maxLength: 12 }), { maxLength: 3000 });
  fc.assert(
    fc.property(names, (all) => {
      const bytes = all.map((name) => Buffer.from(name).toString("latin1"));
      const table = new TallyTable();
      const counts = new Map<string, number>();
      for (const name of bytes) {
        add(table, name);
        counts.set(name, (counts.get(name) ?? 0) + 1);
      }
      const found = new Map(table.all().map(({ name, messages }) => [name, messages]));
      assert.deepEqual(found, counts);
    }),
    { numRuns: 30 },
  );
});

test("case and prefix", () => {
  const table = new TallyTable();
  assert.equal(add(table, "Bob@X", FOLDED), add(table, "bOB@x", FOLDED));
  assert.notEqual(add(table, "bob@x"), add(table, "Bob@x"));
  assert.deepEqual(
    table.all().map(({ name, messages }) => [name, messages]),
    [
      ["remote.bob@x", 2],
      ["bob@x", 1],
      ["Bob@x", 1],
    ],
  );
});

test("a full table keeps the heaviest, totals stay true, and rows that are held go on", () => {
  const table = new TallyTable(100);
  let held = add(table, "often@x");
  table.moved = (now) => {
    held = now[held] as number;
  };
  for (let n = 0; n < 10_000; n++) {
    add(table, `seldom${n}@x`);
    table.add(held, SUM.messages, 1);
  }
  const all = table.all();
  assert.ok(all.length <= 101);
  assert.equal(all.find(({ name }) => name === "often@x")?.messages, 10_001);
  assert.equal(
    all.reduce((sum, { messages }) => sum + messages, 0),
    20_001,
  );
  assert.equal(all[0]?.name, "(others)");
});
