/** The queue behind a program with qmail-queue's interface: what QMAILQUEUE names (qmail-queue(8)). */

import { type ChildProcess, spawn } from "node:child_process";
import { QQ } from "../exit.ts";
import { NamelessFile } from "../files/nameless-file.ts";
import { formatEnvelope } from "./envelope.ts";
import { type Qmail, type QueueDoor, type QueueResult, queueFailure } from "./qmail.ts";

/**
 * A program may say at most this much about why it refuses: on descriptor 6 as notqmail's qmail-queue(8)
 * has it, or on 4 as the older patches have it.
 */
const TEXT_MAX = 255;

/**
 * A door that starts `program` for each message, when all of it has come in: message on its descriptor 0,
 * envelope on 1, both files.
 */
export function programQueue(program: string, env: NodeJS.ProcessEnv = process.env): QueueDoor {
  return { open: () => new ProgramQmail(program, env) };
}

class ProgramQmail implements Qmail {
  readonly full = false;
  readonly #program: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #message = new LateFile();

  constructor(program: string, env: NodeJS.ProcessEnv) {
    this.#program = program;
    this.#env = env;
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }

  put(bytes: Buffer): void {
    this.#message.put(bytes);
  }

  async close(sender: string, recipients: readonly string[]): Promise<QueueResult> {
    const envelope = new LateFile();
    const reason = new LateFile();
    envelope.put(formatEnvelope({ sender, recipients }));
    try {
      const child = this.#start([this.#message.file, envelope.file, reason.file]);
      const code = await ended(child);
      if (code === QQ.ok) return { ok: true, qp: child.pid ?? 0 };
      return queueFailure(code, reason.file.text(TEXT_MAX));
    } catch {
      return queueFailure(QQ.writeError);
    } finally {
      for (const file of [this.#message, envelope, reason]) file.close();
    }
  }

  abort(): void {
    this.#message.close();
  }

  #start([message, envelope, reason]: readonly [NamelessFile, NamelessFile, NamelessFile]) {
    return message.lend((zero) =>
      envelope.lend((one) =>
        reason.lendForWriting((why) =>
          spawn(this.#program, [], {
            env: this.#env,
            stdio: [zero, one, "inherit", "ignore", why, "ignore", why],
          }),
        ),
      ),
    );
  }
}

function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.on("error", () => resolve(QQ.cannotExec));
    child.on("exit", (code) => resolve(code ?? QQ.internalBug));
  });
}

/** A file made with its first bytes, whose trouble is told at the end. */
class LateFile {
  #file: NamelessFile | null = null;
  #trouble: unknown;

  put(bytes: Buffer): void {
    if (this.#trouble) return;
    try {
      this.#file ??= new NamelessFile();
      this.#file.write(bytes);
    } catch (error) {
      this.#trouble = error;
    }
  }

  /** Throws what went wrong since the beginning. */
  get file(): NamelessFile {
    this.put(Buffer.alloc(0));
    if (this.#trouble) throw this.#trouble;
    return this.#file as NamelessFile;
  }

  close(): void {
    this.#file?.close();
  }
}
