/** A question to a person. */

import { createInterface } from "node:readline/promises";

/** Asks for y or n on the terminal; null when nobody sits there. Anything but a yes is a no. */
export function confirmer(): ((question: string) => Promise<boolean>) | null {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return null;
  return async (question) => {
    // What the command prints may go elsewhere.
    const lines = createInterface({ input: process.stdin, output: process.stderr });
    try {
      return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `)).trim());
    } finally {
      lines.close();
    }
  };
}
