/** The queue behind a program with qmail-queue's interface: what QMAILQUEUE names (qmail-queue(8)). */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { QQ } from "../exit.ts";
import { formatEnvelope } from "./envelope.ts";
import { type Qmail, type QueueDoor, type QueueResult, queueFailure } from "./qmail.ts";

/**
 * A program may say at most this much about why it refuses: on descriptor 6 as notqmail's qmail-queue(8)
 * has it, or on 4 as the older patches have it.
 */
const TEXT_MAX = 255;

/** A door that starts `program` for each message: message on its descriptor 0, envelope on 1. */
export function programQueue(program: string, env: NodeJS.ProcessEnv = process.env): QueueDoor {
  return { open: () => new ProgramQmail(program, env) };
}

class ProgramQmail implements Qmail {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number>;
  #text = "";

  constructor(program: string, env: NodeJS.ProcessEnv) {
    const pipes = ["pipe", "pipe", "inherit", "ignore", "pipe", "ignore", "pipe"] as const;
    this.#child = spawn(program, [], { env, stdio: [...pipes] });
    this.#ended = new Promise((resolve) => {
      this.#child.on("error", () => resolve(QQ.cannotExec));
      this.#child.on("close", (code) => resolve(code ?? QQ.internalBug));
    });
    // A program that leaves early breaks the pipes: what counts is its exit code.
    for (const fd of [0, 1]) this.#pipe(fd).on("error", () => {});
    for (const fd of [4, 6]) {
      const reason = (this.#child.stdio as readonly unknown[])[fd] as Readable | null;
      reason?.on("error", () => {});
      reason?.on("data", (chunk: Buffer) => {
        this.#text = (this.#text + chunk.toString("latin1")).slice(0, TEXT_MAX);
      });
    }
  }

  get full(): boolean {
    return this.#pipe(0).writableNeedDrain;
  }

  async drained(): Promise<void> {
    const pipe = this.#pipe(0);
    if (!pipe.writableNeedDrain || pipe.destroyed) return;
    await Promise.race([once(pipe, "drain"), once(pipe, "close"), this.#ended]);
  }

  put(bytes: Buffer): void {
    this.#pipe(0).write(bytes);
  }

  async close(sender: string, recipients: readonly string[]): Promise<QueueResult> {
    this.#pipe(0).end();
    this.#pipe(1).end(formatEnvelope({ sender, recipients }));
    const code = await this.#ended;
    if (code === QQ.ok) return { ok: true, qp: this.#child.pid ?? 0 };
    return queueFailure(code, this.#text);
  }

  abort(): void {
    // Without an envelope there is nothing to queue: qmail-queue leaves with 54 or 91.
    this.#pipe(0).destroy();
    this.#pipe(1).destroy();
  }

  // Descriptor 1 is the child's input here, though Node calls it stdout: its pipes go both ways.
  #pipe(fd: number): Writable {
    return this.#child.stdio[fd] as unknown as Writable;
  }
}
