/** A question to a person. */

import { createInterface } from "node:readline/promises";

/** Where a question is asked. */
export interface Terminal {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
}

/** Asks for y or n on the terminal; null when nobody sits there. Anything but a yes is a no. */
export function confirmer(): ((question: string) => Promise<boolean>) | null {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return null;
  // What the command prints may go elsewhere.
  const terminal = { input: process.stdin, output: process.stderr };
  return (question) => askYesNo(question, terminal);
}

/** Who leaves with Ctrl-C or Ctrl-D, or whose terminal goes away, has said no. */
export async function askYesNo(question: string, terminal: Terminal): Promise<boolean> {
  const lines = createInterface({ ...terminal, terminal: true });
  const left = new Promise<null>((resolve) => lines.once("close", () => resolve(null)));
  try {
    const answer = await Promise.race([
      lines.question(`${question} [y/N] `).catch(() => null),
      left,
    ]);
    if (answer === null) terminal.output.write("\n");
    return answer !== null && /^y(es)?$/i.test(answer.trim());
  } finally {
    lines.close();
  }
}
