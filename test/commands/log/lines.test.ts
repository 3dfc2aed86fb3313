import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readInOrder, type ShownLine } from "../../../commands/log/lines.ts";
import type { Source } from "../../../commands/log/sources.ts";

function source(name: string, text: string, cut: number): Source {
  return {
    name,
    async *open() {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; at += cut) yield bytes.subarray(at, at + cut);
    },
  };
}

async function read(sources: readonly Source[]): Promise<ShownLine[]> {
  const lines: ShownLine[] = [];
  await readInOrder(sources, (line) => lines.push(line));
  return lines;
}

test("lines of several logs come in the order of their time, each log's in its own", async () => {
  const times = fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(times, { maxLength: 4 }),
      fc.integer({ min: 5, max: 200 }),
      async (logs, cut) => {
        const sorted = logs.map((log) => log.toSorted((a, b) => a - b));
        const sources = sorted.map((log, at) =>
          source(`s${at}`, log.map((time, n) => `17000000${10 + time}.5 ${n}\n`).join(""), cut),
        );
        const lines = await read(sources);
        assert.deepEqual(
          lines.map(({ time }) => time),
          sorted
            .flat()
            .sort((a, b) => a - b)
            .map((time) => (1_700_000_010 + time) * 1000 + 500),
        );
        for (const [at, log] of sorted.entries()) {
          const own = lines.filter(({ service }) => service === `s${at}`).map(({ text }) => text);
          assert.deepEqual(own, Object.keys(log));
        }
      },
    ),
    { numRuns: 50 },
  );
});

test("files of one name follow on one another; a line without a stamp stays behind the one before", async () => {
  const lines = await read([
    source("send", "1700000010.0 a\n  more of a\n", 7),
    source("send", "1700000020.0 c", 100),
    source("smtpd", "1700000015.0 b\n", 100),
  ]);
  assert.deepEqual(
    lines.map(({ text }) => text),
    ["a", "  more of a", "b", "c"],
  );
});

test("nothing more is read before what there is has been taken", async () => {
  let read = 0;
  const endless: Source = {
    name: "send",
    async *open() {
      for (;;) {
        read++;
        yield Buffer.from("1700000010.0 a\n");
      }
    },
  };
  let asked = 0;
  const full = Promise.withResolvers<void>();
  const stuck = new Promise<void>(() => {});
  void readInOrder(
    [endless],
    () => {},
    () => {
      if (++asked < 3) return Promise.resolve();
      full.resolve();
      return stuck;
    },
  );
  await full.promise;
  await new Promise(setImmediate);
  assert.equal(read, 3);
});
