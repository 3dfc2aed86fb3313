/** Programs that forwarding files name: /bin/sh with the message, and what its exit code means. */

import { EXIT } from "../exit.ts";
import type { Outcome } from "../inject/context.ts";
import { withHeader } from "../inject/copy.ts";
import { runOn } from "../local/child.ts";
import { HARD } from "../local/program.ts";
import { shellCommand } from "../local/shell.ts";
import type { Message } from "../spawn/message.ts";

/** Gives `message`, with the byte string `before` in front, to the shell command `command`. Null: it was done. */
export async function runShell(
  command: string,
  { message, before }: { message: Message; before: string },
): Promise<Outcome | null> {
  const { script } = shellCommand(command, {});
  const input = withHeader(before, message.chunks());
  const { code, message: trouble } = await runOn(["/bin/sh", "-c", script], input);
  if (code === EXIT.ok) return null;
  return { code: HARD.has(code) && trouble === "" ? EXIT.hard : EXIT.soft, message: trouble };
}
