/** Program deliveries: `|command` under /bin/sh, the message seekable on descriptor 0 (qmail-command(8)). */

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, constants, openSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Message } from "../spawn/message.ts";
import { DeliveryFailure, systemText, temporary } from "./failure.ts";

/** What a program says is kept up to here; qmail-lspawn cuts it once more. */
const OUTPUT_MAX = 10_000;

/** Exit codes that mean "never" (qmail-command(8)); 99 means "done, and nothing after me". */
const HARD = new Set([100, 64, 65, 70, 76, 77, 78, 112]);

export interface ProgramDelivery {
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
  readonly message: Message;
}

export interface ProgramResult {
  readonly output: string;
  /** False: the rest of the .qmail file is not to be done (exit 99). */
  readonly more: boolean;
}

/** Runs `command`. Throws DeliveryFailure with its output for temporary and permanent exit codes. */
export async function deliverProgram(
  command: string,
  { home, env, message }: ProgramDelivery,
): Promise<ProgramResult> {
  const fd = await seekableCopy(message);
  const { code, output } = await run(command, { home, env, fd }).finally(() => closeSync(fd));
  if (code === 0) return { output, more: true };
  if (code === 99) return { output, more: false };
  if (code === null) throw temporary(`${output}Aack, child crashed. (#4.3.0)\n`);
  throw new DeliveryFailure(HARD.has(code) ? "D" : "Z", output);
}

function run(
  command: string,
  { home, env, fd }: { home: string; env: NodeJS.ProcessEnv; fd: number },
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn("/bin/sh", ["-c", command], {
      cwd: home,
      env,
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

/** The message in a file without a name, opened anew for reading from its beginning. */
async function seekableCopy(message: Message): Promise<number> {
  const path = join(tmpdir(), `qmail-local.${randomBytes(12).toString("hex")}`);
  try {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const out = openSync(path, flags, 0o600);
    try {
      for await (const chunk of message.chunks()) {
        for (let at = 0; at < chunk.length; ) at += writeSync(out, chunk, at);
      }
      return openSync(path, "r");
    } finally {
      closeSync(out);
      unlinkSync(path);
    }
  } catch (error) {
    throw temporary(`Unable to copy the message: ${systemText(error)}. (#4.3.0)\n`);
  }
}
