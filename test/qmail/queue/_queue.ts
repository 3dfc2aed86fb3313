/** An empty queue tree in a temporary directory, for tests without processes. */

import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SPLIT } from "../../../qmail/queue/fmtqfn.ts";

export interface TestQueue extends Disposable {
  /** The queue directory. */
  readonly queue: string;
  /** Every file in it, relative to it, sorted. */
  files(): string[];
}

export function makeQueue(): TestQueue {
  const queue = mkdtempSync(join(tmpdir(), "qmailctl-queue-"));
  for (const name of ["pid", "intd", "todo", "bounce"]) mkdirSync(join(queue, name));
  for (const name of ["mess", "info", "local", "remote"]) {
    for (let split = 0; split < SPLIT; split++) {
      mkdirSync(join(queue, name, String(split)), { recursive: true });
    }
  }
  return {
    queue,
    files: () =>
      readdirSync(queue, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(queue.length + 1))
        .sort(),
    [Symbol.dispose]: () => rmSync(queue, { recursive: true, force: true }),
  };
}
