/** A question before something that cannot be taken back. */

import { createInterface } from "node:readline/promises";
import { UsageError } from "./output.ts";

/** Resolves with whether the person at the terminal says yes. Throws UsageError when nobody is there to ask. */
export async function confirm(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new UsageError(`nobody is there to ask: ${question}`, ["say so in advance: --yes"]);
  }
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await lines.question(`${question} (y/N) `)).trim());
  } finally {
    lines.close();
  }
}
