/** Program deliveries: `|command` under /bin/sh, the message seekable on descriptor 0 (qmail-command(8)). */

import { type ChildProcess, spawn } from "node:child_process";
import { withOutput } from "../files/child-output.ts";
import { NamelessFile } from "../files/nameless-file.ts";
import type { Message } from "../spawn/message.ts";
import { DeliveryFailure, systemText, temporary } from "./failure.ts";
import { shellCommand } from "./shell.ts";

/** What a program says is kept up to here; qmail-lspawn cuts it once more. */
const OUTPUT_MAX = 10_000;

/** Exit codes that mean "never" (qmail-command(8)); 99 means "done, and nothing after me". */
export const HARD: ReadonlySet<number> = new Set([100, 64, 65, 70, 76, 77, 78, 112]);

export interface ProgramDelivery {
  /** Where the program runs. */
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
  /** What the delivery adds to `env`: byte strings. */
  readonly variables: Readonly<Record<string, string>>;
  readonly message: NamelessFile;
}

/** What a program said, and what that means. */
export type ProgramResult = { readonly output: string } & (
  | {
      /** False: the rest of the .qmail file is not to be done (exit 99). */
      readonly more: boolean;
    }
  | { readonly failure: DeliveryFailure }
);

/** Runs `command` and waits for it, however long it takes. Throws DeliveryFailure when it cannot be run. */
export async function deliverProgram(
  command: string,
  delivery: ProgramDelivery,
): Promise<ProgramResult> {
  const { code, output } = await run(command, delivery);
  if (code === 0 || code === 99) return { output, more: code === 0 };
  if (code === null) return { output, failure: temporary("Aack, child crashed. (#4.3.0)\n") };
  return { output, failure: new DeliveryFailure(HARD.has(code) ? "D" : "Z", "") };
}

async function run(
  command: string,
  { home, env, variables, message }: ProgramDelivery,
): Promise<{ code: number | null; output: string }> {
  const shell = shellCommand(command, variables);
  try {
    const { child, text } = message.lend((input) =>
      withOutput(OUTPUT_MAX, (output) =>
        spawn("/bin/sh", ["-c", shell.script], {
          cwd: Buffer.from(home, "latin1").toString(),
          env: { ...env, ...shell.variables },
          stdio: [input, output, output],
        }),
      ),
    );
    const code = await exitCode(child);
    // The end of its output, not of the process alone: what it left running may still speak.
    return { code, output: await text };
  } catch (error) {
    throw temporary(`Unable to run /bin/sh: ${systemText(error)}. (#4.3.0)\n`);
  }
}

function exitCode(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", resolve);
  });
}

/** The message for programs to read: copied once for all of a delivery. Throws DeliveryFailure. */
export async function copyForPrograms(message: Message): Promise<NamelessFile> {
  try {
    return await NamelessFile.holding(message.chunks());
  } catch (error) {
    if (error instanceof DeliveryFailure) throw error;
    throw temporary(`Unable to copy message: ${systemText(error)}. (#4.3.0)\n`);
  }
}
