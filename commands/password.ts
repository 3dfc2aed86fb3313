/** A password from a person without echo, or from standard input: never from the command line, where all can see it. */

import type { ReadStream } from "node:tty";
import { UsageError } from "./output.ts";

export interface PasswordInput {
  readonly input: NodeJS.ReadStream;
  /** Where a person is asked. */
  readonly output: NodeJS.WriteStream;
}

/** The password, a byte string. Throws UsageError when there is none. */
export async function readPassword({ input, output }: PasswordInput): Promise<string> {
  const password = input.isTTY ? await ask(input, output) : await firstLine(input);
  if (password === "") throw new UsageError("the password is empty", ["nothing was changed"]);
  if (password.includes("\0")) throw new UsageError("a password cannot hold a NUL");
  return password;
}

async function firstLine(input: NodeJS.ReadableStream): Promise<string> {
  let text = "";
  for await (const chunk of input) text += Buffer.from(chunk).toString("latin1");
  return text.split("\n", 1)[0]?.replace(/\r$/, "") ?? "";
}

/** Twice, so that a slip of the finger locks nobody out. */
async function ask(input: ReadStream, output: NodeJS.WriteStream): Promise<string> {
  const password = await askOnce(input, output, "Password: ");
  if ((await askOnce(input, output, "Again: ")) === password) return password;
  throw new UsageError("the two passwords differ", ["nothing was changed"]);
}

function askOnce(input: ReadStream, output: NodeJS.WriteStream, prompt: string): Promise<string> {
  output.write(prompt);
  input.setRawMode(true);
  input.resume();
  return new Promise((resolve, reject) => {
    let bytes = "";
    const done = (act: () => void) => {
      input.off("data", heard);
      input.setRawMode(false);
      input.pause();
      output.write("\n");
      act();
    };
    const heard = (chunk: Buffer) => {
      for (const key of chunk.toString("latin1")) {
        if (key === "\r" || key === "\n" || key === "\x04") return done(() => resolve(bytes));
        if (key === "\x03") return done(() => reject(new UsageError("nothing was changed")));
        if (key === "\x7f" || key === "\b") bytes = bytes.slice(0, -1);
        else bytes += key;
      }
    };
    input.on("data", heard);
  });
}
