/** Programs that forwarding files name: /bin/sh with the message, and what its exit code means. */

import { spawn } from "node:child_process";
import { EXIT } from "../exit.ts";
import type { Outcome } from "../inject/context.ts";
import { systemText } from "../local/failure.ts";
import { HARD } from "../local/program.ts";
import { shellCommand } from "../local/shell.ts";
import type { Message } from "../spawn/message.ts";

/** Gives `message`, with the byte string `before` in front, to the shell command `command`. Null: it was done. */
export function runShell(
  command: string,
  { message, before }: { message: Message; before: string },
): Promise<Outcome | null> {
  return new Promise((resolve) => {
    const { script } = shellCommand(command, {});
    const child = spawn("/bin/sh", ["-c", script], { stdio: ["pipe", "inherit", "inherit"] });
    child.on("error", (error) =>
      resolve({ code: EXIT.soft, message: `unable to run /bin/sh: ${systemText(error)}` }),
    );
    child.on("exit", (code) => resolve(outcome(code)));
    // A program that does not read to the end is no failure of ours: its exit code tells.
    child.stdin.on("error", () => {});
    feed(child.stdin, before, message).catch((error) => {
      resolve({ code: EXIT.soft, message: `unable to read message: ${systemText(error)}` });
      child.kill();
    });
  });
}

async function feed(
  pipe: NodeJS.WritableStream & { destroyed?: boolean },
  before: string,
  message: Message,
): Promise<void> {
  const put = (bytes: Buffer) => new Promise((resolve) => pipe.write(bytes, resolve));
  if (before !== "") await put(Buffer.from(before, "latin1"));
  for await (const chunk of message.chunks()) {
    if (pipe.destroyed) return;
    await put(chunk);
  }
  pipe.end();
}

function outcome(code: number | null): Outcome | null {
  if (code === null) return { code: EXIT.soft, message: "child crashed" };
  if (code === EXIT.ok) return null;
  return { code: HARD.has(code) ? EXIT.hard : EXIT.soft, message: "" };
}
