/**
 * One message on its way from S1 to S4: pid/, mess/, intd/, todo/ (INTERNALS.md, "How a message enters").
 *
 * Metadata calls are synchronous, since they only touch memory; what waits for the disk goes to the
 * thread pool. Small messages stay in memory until their envelope is there, so they are written in one call.
 */

import {
  closeSync,
  fdatasync,
  fstatSync,
  ftruncateSync,
  linkSync,
  openSync,
  unlinkSync,
  writeSync,
  writevSync,
} from "node:fs";
import { promisify } from "node:util";
import { date822 } from "../date822.ts";
import { QQ } from "../exit.ts";
import type { GroupSync } from "../files/groupsync.ts";
import { EnvelopeError, formatTodo, parseAnyEnvelope, parseEnvelope } from "./envelope.ts";
import { fmtqfn, type MessId, messIdOf, splitOf } from "./fmtqfn.ts";
import { DEATH_SECONDS } from "./protocol.ts";
import type { Spares } from "./spares.ts";

const dataSync = promisify(fdatasync);

/** Up to here a message waits in memory for its envelope. */
const MEMORY_MAX = 64 * 1024;
/** A single writev takes no more than 1024 pieces. */
const CHUNKS_MAX = 500;

/** qmail-queue's exit code for what is wrong with an envelope. */
export const ENVELOPE_CODES: Readonly<Record<EnvelopeError["reason"], number>> = {
  address: QQ.addressTooLong,
  control: QQ.rejected,
  format: QQ.badEnvelope,
  end: QQ.readError,
};

/** Who puts a message in. */
export interface Source {
  readonly uid: number;
  /** As the Received line says it: "from network", "for bounce", "by alias", "by uid 1000". */
  readonly how: string;
  /** It is a bounce, and goes wherever its message came from. */
  readonly bounce?: boolean;
}

export interface Queued {
  readonly id: MessId;
  /** Bytes of the mess file. */
  readonly size: number;
  /** Content of the todo file. */
  readonly todo: Buffer;
  /** When the files were made, in milliseconds since 1970. */
  readonly made: number;
  /** qmail-send has found it in todo by itself, and is done with it. */
  readonly gone: boolean;
}

/** Trouble with the exit code of qmail-queue that says it. */
export class QueueError extends Error {
  readonly code: number;
  constructor(code: number, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

export interface IntakeContext {
  /** The queue directory. */
  readonly queue: string;
  /** True when syncing a new file makes its name durable too (`fsyncCarriesName`); mess/N is synced otherwise. */
  readonly fsyncCarriesName?: boolean;
  readonly sync: GroupSync;
  /** Files of earlier messages to write anew. */
  readonly spares?: Spares;
  /** Messages linked into todo that are not announced yet. Who sees them there first and has them removed deletes them here. */
  readonly entering?: Set<MessId>;
  /** Seconds since 1970. */
  readonly now: () => number;
}

export class Intake {
  readonly #context: IntakeContext;
  readonly #source: Source;
  readonly #qp: number;
  readonly #started: number;
  #chunks: Buffer[];
  #buffered: number;
  #size = 0;
  #id: MessId | null = null;
  #messFd = -1;
  /** The files are those of an earlier message. */
  #reused = false;
  #made = 0;
  #madeIntd = false;
  #failure: QueueError | null = null;

  constructor(context: IntakeContext, source: Source, qp: number) {
    this.#context = context;
    this.#source = source;
    this.#qp = qp;
    this.#started = context.now();
    const received = `Received: (qmail ${qp} invoked ${source.how}); ${date822(this.#started)}\n`;
    this.#chunks = [Buffer.from(received, "latin1")];
    this.#buffered = received.length;
  }

  /** Adds bytes of the message; `bytes` must stay as they are. Trouble is kept for `commit`. */
  put(bytes: Buffer): void {
    if (this.#failure) return;
    this.#chunks.push(bytes);
    this.#buffered += bytes.length;
    if (this.#buffered > MEMORY_MAX || this.#chunks.length > CHUNKS_MAX) {
      this.#attempt(QQ.writeError, () => this.#write());
    }
  }

  /**
   * Queues the message for the envelope in `envelopeBytes` (envelope.ts). When this resolves the
   * message, its envelope and their names are durable. Throws QueueError; then nothing is left.
   */
  async commit(envelopeBytes: Buffer): Promise<Queued> {
    let intdFd = -1;
    try {
      this.#attempt(QQ.writeError, () => this.#write());
      if (this.#failure) throw this.#failure;
      const todo = this.#todoBytes(envelopeBytes);
      const id = this.#id as MessId;
      intdFd = this.#writeIntd(id, todo);
      const { queue, sync, fsyncCarriesName, entering } = this.#context;
      await Promise.all([
        dataSync(this.#messFd),
        dataSync(intdFd),
        fsyncCarriesName ? null : sync.sync(`${queue}/mess/${splitOf(id)}`),
      ]).catch(rethrowAs(QQ.writeError, "sync the message"));
      if (this.#context.now() - this.#started > DEATH_SECONDS) {
        throw new QueueError(QQ.timeout, "cannot queue a message that took more than a day");
      }
      // The link makes the message the queue's. What fails from here on must not remove it.
      call(QQ.todoFile, "link into todo", () =>
        linkSync(`${queue}/${fmtqfn("intd", id)}`, `${queue}/${fmtqfn("todo", id)}`),
      );
      entering?.add(id);
      this.#release(intdFd);
      intdFd = -1;
      await this.#syncTodo(id);
      const gone = entering?.delete(id) === false;
      return { id, size: this.#size, todo, made: this.#made, gone };
    } catch (error) {
      this.#remove();
      if (intdFd >= 0) closeSync(intdFd);
      throw error;
    }
  }

  /** Gives the message up and removes what was made. */
  abort(): void {
    this.#remove();
    this.#failure ??= new QueueError(QQ.readError, "the message was given up");
  }

  #write(): void {
    if (this.#messFd < 0 && !this.#reuse()) this.#create();
    if (this.#chunks.length === 0) return;
    const wanted = this.#buffered;
    this.#size += wanted;
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#buffered = 0;
    const done = writevSync(this.#messFd, chunks);
    if (done === wanted) return;
    // A short write: rare enough to join what is left.
    const rest = Buffer.concat(chunks).subarray(done);
    for (let at = 0; at < rest.length; ) at += writeSync(this.#messFd, rest, at);
  }

  /** Writes over the files of a message that is done; false when there are none. */
  #reuse(): boolean {
    const spare = this.#context.spares?.take();
    if (!spare) return false;
    const path = `${this.#context.queue}/${fmtqfn("mess", spare.id)}`;
    this.#messFd = call(QQ.messFile, "open a spare mess file", () => openSync(path, "r+"));
    this.#id = spare.id;
    this.#made = spare.made;
    this.#reused = true;
    this.#madeIntd = true;
    return true;
  }

  /** The mess file is made under pid/ first, because its name is its own inode number. */
  #create(): void {
    const { queue } = this.#context;
    const pid = `${queue}/pid/${process.pid}.${Math.floor(this.#started)}.${this.#qp}`;
    this.#messFd = call(QQ.pidFile, "create a file in pid", () => openSync(pid, "wx", 0o644));
    try {
      const id = messIdOf(fstatSync(this.#messFd, { bigint: true }).ino);
      call(QQ.messFile, "link into mess", () => linkSync(pid, `${queue}/${fmtqfn("mess", id)}`));
      this.#id = id;
      this.#made = this.#started * 1000;
    } finally {
      call(QQ.pidFile, "unlink from pid", () => unlinkSync(pid));
    }
  }

  #todoBytes(envelopeBytes: Buffer): Buffer {
    try {
      const parse = this.#source.bounce ? parseAnyEnvelope : parseEnvelope;
      const envelope = parse(envelopeBytes);
      return formatTodo({ ...envelope, uid: this.#source.uid, pid: this.#qp });
    } catch (error) {
      if (!(error instanceof EnvelopeError)) throw error;
      throw new QueueError(ENVELOPE_CODES[error.reason], error.message, error);
    }
  }

  #writeIntd(id: MessId, todo: Buffer): number {
    const path = `${this.#context.queue}/${fmtqfn("intd", id)}`;
    const fd = call(QQ.intdFile, "create a file in intd", () =>
      this.#reused ? openSync(path, "r+") : createAnew(path),
    );
    this.#madeIntd = true;
    try {
      call(QQ.writeError, "write the envelope", () => {
        for (let at = 0; at < todo.length; ) at += writeSync(fd, todo, at);
        if (this.#reused) this.#cut(fd, todo.length);
      });
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    return fd;
  }

  /** What is left of the earlier message is cut off; written over in place, no block is given back and asked for again. */
  #cut(intdFd: number, todoSize: number): void {
    if (fstatSync(intdFd).size > todoSize) ftruncateSync(intdFd, todoSize);
    if (fstatSync(this.#messFd).size > this.#size) ftruncateSync(this.#messFd, this.#size);
  }

  async #syncTodo(id: MessId): Promise<void> {
    const { queue, sync, spares } = this.#context;
    const covered = spares?.covered() ?? [];
    try {
      await sync.sync(`${queue}/todo`);
      spares?.synced(covered);
    } catch (error) {
      spares?.failed(covered);
      this.#context.entering?.delete(id);
      // Not promised to the sender, so it must not stay: it would arrive twice.
      unlinkQuietly(`${queue}/${fmtqfn("todo", id)}`);
      this.#id = id;
      this.#madeIntd = true;
      throw new QueueError(QQ.todoFile, "cannot sync todo", error);
    }
  }

  /** The files are the queue's now: close them and forget them. */
  #release(intdFd: number): void {
    closeSync(intdFd);
    closeSync(this.#messFd);
    this.#messFd = -1;
    this.#id = null;
    this.#madeIntd = false;
  }

  #remove(): void {
    this.#chunks = [];
    if (this.#messFd >= 0) closeSync(this.#messFd);
    this.#messFd = -1;
    if (this.#id === null) return;
    const { queue } = this.#context;
    if (this.#madeIntd) unlinkQuietly(`${queue}/${fmtqfn("intd", this.#id)}`);
    unlinkQuietly(`${queue}/${fmtqfn("mess", this.#id)}`);
    this.#id = null;
  }

  #attempt(code: number, action: () => void): void {
    if (this.#failure) return;
    try {
      call(code, "write the message", action);
    } catch (error) {
      this.#failure = error as QueueError;
      this.#remove();
    }
  }
}

/** The name is ours as mess/N/ID is: a file that has it was left by a crash. */
function createAnew(path: string): number {
  try {
    return openSync(path, "wx", 0o644);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    unlinkSync(path);
    return openSync(path, "wx", 0o644);
  }
}

function call<T>(code: number, what: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    return rethrowAs(code, what)(error);
  }
}

function rethrowAs(code: number, what: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof QueueError) throw error;
    throw new QueueError(code, `cannot ${what}: ${(error as Error).message}`, error);
  };
}

function unlinkQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Cleaning up after another failure: what stays is found by qmail-send's cleanup.
  }
}
