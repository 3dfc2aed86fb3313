/**
 * One of several processes that want the same lock file: `_contender.ts MBOX ROUNDS`. Leaves it each time as who
 * is killed leaves it, and says on standard output when two had it at once.
 */

import { closeSync, openSync, unlinkSync, writeFileSync, writeSync } from "node:fs";
import { DotLock } from "../../../qmail/files/dotlock.ts";
import { thisMachine } from "../../../qmail/supervise/machine.ts";

const [path = "", rounds = "", deadPid = ""] = process.argv.slice(2);
const machine = thisMachine();

for (let round = 0; round < Number(rounds); round++) {
  const signal = AbortSignal.timeout(60_000);
  const lock = await DotLock.take(path, { machine, signal });
  try {
    closeSync(openSync(`${path}.witness`, "wx"));
    await new Promise(setImmediate);
    unlinkSync(`${path}.witness`);
  } catch (error) {
    writeSync(1, `${(error as Error).message}\n`);
  }
  if (round % 2 === 0) lock?.release();
  else writeFileSync(`${path}.lock`, `0\n${machine.host}\n${deadPid}\n1\n${machine.boot}\n`);
}
