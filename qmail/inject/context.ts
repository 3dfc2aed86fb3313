/** What the programs of this folder need from the world around them, so that tests can give them another. */

import { writeSync } from "node:fs";
import { type ByteEnv, programEnv } from "../arguments.ts";
import { EXIT } from "../exit.ts";
import { refuseClosed } from "../files/closed.ts";
import { qmailHome } from "../home.ts";
import type { QueueDoor } from "../queue/qmail.ts";

export interface Context {
  readonly env: ByteEnv;
  readonly input: AsyncIterable<Buffer>;
  /** The qmail home. */
  readonly home: string;
  /** Where messages go; asked for only when there is one. */
  queue(): Promise<QueueDoor>;
  /** Writes to standard output; resolves when more may come. */
  print(bytes: Buffer): Promise<void>;
  /** Seconds since 1970. */
  readonly now: number;
  readonly pid: number;
}

/** How a program ended. */
export interface Outcome {
  readonly code: number;
  /** For standard error, without the program's name; empty when there is nothing to say. */
  readonly message: string;
}

/** The byte string `bytes` as text for a person. */
export function toText(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString();
}

/** The world of a program started by a user. */
export function programContext(home = qmailHome()): Context {
  return {
    env: programEnv(),
    input: standardInput(),
    home,
    async queue() {
      const { localQueue } = await import("../queue/local-queue.ts");
      return localQueue(home, process.env);
    },
    print,
    now: Math.floor(Date.now() / 1000),
    pid: process.pid,
  };
}

async function* standardInput(): AsyncGenerator<Buffer> {
  // An empty message would be sent.
  refuseClosed(0);
  yield* process.stdin;
}

function print(bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.once("error", reject);
    process.stdout.write(bytes, (error) => {
      // The event comes after this call; with it, somebody must still be listening.
      if (error) return;
      process.stdout.off("error", reject);
      resolve();
    });
  });
}

/** The outcome of a program that cannot do what it was asked. */
export function refused(message: string): Outcome {
  return { code: EXIT.hard, message };
}

/** Ends the program `name` with `outcome`. */
export function exitWith(name: string, { code, message }: Outcome): never {
  if (message !== "") {
    const kind = code === EXIT.ok || message.startsWith("usage: ") ? "" : "fatal: ";
    writeSync(2, Buffer.from(`${name}: ${kind}${message.replace(/\n$/, "")}\n`, "latin1"));
  }
  process.exit(code);
}
