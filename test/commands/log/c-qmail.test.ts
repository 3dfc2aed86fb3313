/**
 * The log of a C qmail (notqmail 1.08's programs, run for this with mail of every fate: bounces to the third
 * time, forwards, deferrals, restarts, a spawner that was killed and one that talked rubbish).
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { LogReader } from "../../../commands/log/analysis/read.ts";
import { Statistics } from "../../../commands/log/analysis/statistics.ts";
import { logTrace } from "../../../commands/log/trace.ts";
import type { Output } from "../../../commands/output.ts";
import { parseLogLine } from "../../../qmail/send/log.ts";

const PATH = fileURLToPath(new URL("c-qmail.log", import.meta.url));
const LINES = readFileSync(PATH, "latin1").trimEnd().split("\n");

const count = (pattern: RegExp) => LINES.filter((line) => pattern.test(line)).length;

test("nothing in it is unknown", () => {
  const reader = new LogReader(new Statistics(), Date.now());
  reader.push(readFileSync(PATH));
  reader.cut();
  const { lines, unknown, unknownLines, unstamped } = reader.reading;
  assert.deepEqual(
    { lines, unknown, unknownLines, unstamped },
    {
      lines: LINES.length,
      unknown: 0,
      unknownLines: [],
      unstamped: 0,
    },
  );
});

test("it has every kind of line of qmail-send's", () => {
  const types = new Set(LINES.map((line) => parseLogLine(line.slice(26)).type));
  const kinds = ["new", "info", "starting", "delivery", "status", "bounce", "end", "exiting"];
  for (const kind of kinds) assert.ok(types.has(kind as "new"), kind);
  for (const outcome of ["success", "deferral", "failure"]) {
    assert.ok(count(new RegExp(` delivery \\d+: ${outcome}: `)) > 2, outcome);
  }
  for (const text of ["report mangled", "triple bounce", "exitasap", "warning: ", "alert: "]) {
    assert.ok(count(new RegExp(text)) > 0, text);
  }
});

test("the statistics are those of a plain count", () => {
  const statistics = new Statistics();
  const reader = new LogReader(statistics, Date.now());
  reader.push(readFileSync(PATH));
  reader.cut();
  const { successes, failures, deferrals, bounces, tripleBounces, restarts, taken } = statistics;
  assert.deepEqual(
    { successes, failures, deferrals, bounces, tripleBounces, restarts, taken },
    {
      successes: count(/delivery \d+: success/),
      failures: count(/delivery \d+: failure/),
      deferrals: count(/delivery \d+: (deferral|report mangled)/),
      bounces: count(/bounce msg/),
      tripleBounces: 1,
      restarts: count(/status: exiting/),
      taken: count(/info msg/),
    },
  );
});

test("a message, its bounce, the double bounce, and where the third was thrown away", async () => {
  const discarded = /triple bounce: discarding bounce\/(\d+)/.exec(LINES.join("\n"))?.[1] ?? "";
  let found: { id: string; sender: string }[] = [];
  const output = {
    json: true,
    line() {},
    note() {},
    data: (value: typeof found) => (found = value),
  };
  await logTrace({ home: "", files: [PATH], what: discarded, output: output as unknown as Output });
  assert.deepEqual(
    found.map(({ sender }) => sender),
    ["nobody@mail.example.com", "", "#@[]"],
  );
  assert.equal(found.at(-1)?.id, discarded);
});
