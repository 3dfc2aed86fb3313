import assert from "node:assert/strict";
import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fmtqfn } from "../../../qmail/queue/fmtqfn.ts";
import { removeLeftovers } from "../../../qmail/queue/leftovers.ts";
import { makeQueue } from "./_queue.ts";

const HOUR = 3600;
const NOW = 1_000_000_000;

test("what crashes left in pid, intd and todo goes when it is old and its message is gone", () => {
  using made = makeQueue();
  const make = (path: string, hours: number) => {
    const whole = join(made.queue, path);
    mkdirSync(dirname(whole), { recursive: true });
    writeFileSync(whole, "");
    utimesSync(whole, NOW - hours * HOUR, NOW - hours * HOUR);
  };
  make("pid/1.2.3", 37);
  make("pid/4.5.6", 35);
  for (const directory of ["intd", "todo"]) {
    make(`${directory}/101`, 37);
    make(`${directory}/102`, 35);
    make(`${directory}/103`, 37);
  }
  make(fmtqfn("mess", "103"), 37);
  assert.deepEqual(removeLeftovers(made.queue, NOW), []);
  assert.deepEqual(made.files(), [
    "intd/102",
    "intd/103",
    fmtqfn("mess", "103"),
    "pid/4.5.6",
    "todo/102",
    "todo/103",
  ]);
});
