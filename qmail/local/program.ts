/** Program deliveries: `|command` under /bin/sh, the message seekable on descriptor 0 (qmail-command(8)). */

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, constants, openSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
  readonly message: MessageFile;
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
  const fd = delivery.message.open();
  const { code, output } = await run(command, delivery, fd).finally(() => closeSync(fd));
  if (code === 0 || code === 99) return { output, more: code === 0 };
  if (code === null) return { output, failure: temporary("Aack, child crashed. (#4.3.0)\n") };
  return { output, failure: new DeliveryFailure(HARD.has(code) ? "D" : "Z", "") };
}

function run(
  command: string,
  { home, env, variables }: ProgramDelivery,
  fd: number,
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const shell = shellCommand(command, variables);
    const child = spawn("/bin/sh", ["-c", shell.script], {
      cwd: Buffer.from(home, "latin1").toString(),
      env: { ...env, ...shell.variables },
      stdio: [fd, "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        if (output.length < OUTPUT_MAX) output += chunk.toString("latin1");
      });
    }
    child.on("error", (error) =>
      reject(temporary(`Unable to run /bin/sh: ${systemText(error)}. (#4.3.0)\n`)),
    );
    // The end of its output, not of the process alone: what it left running may still speak.
    child.on("close", (code) => resolve({ code, output }));
  });
}

/** The message in a file without a name, for programs to read: made once for all of a delivery. */
export class MessageFile {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Throws DeliveryFailure. */
  static async copy(message: Message): Promise<MessageFile> {
    try {
      const fd = openNameless();
      try {
        for await (const chunk of message.chunks()) {
          for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
        }
      } catch (error) {
        closeSync(fd);
        throw error;
      }
      return new MessageFile(fd);
    } catch (error) {
      if (error instanceof DeliveryFailure) throw error;
      throw temporary(`Unable to copy message: ${systemText(error)}. (#4.3.0)\n`);
    }
  }

  /** A descriptor that reads from the beginning; whoever asks closes it. */
  open(): number {
    try {
      return openSync(`/proc/self/fd/${this.#fd}`, "r");
    } catch (error) {
      throw temporary(`Unable to rewind message: ${systemText(error)}. (#4.3.0)\n`);
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function openNameless(): number {
  const path = join(tmpdir(), `qmail-local.${randomBytes(12).toString("hex")}`);
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const fd = openSync(path, flags, 0o600);
  unlinkSync(path);
  return fd;
}
