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
  linkSync,
  openSync,
  statSync,
  unlinkSync,
  writeSync,
  writevSync,
} from "node:fs";
import { promisify } from "node:util";
import { date822 } from "../date822.ts";
import { QQ } from "../exit.ts";
import type { GroupSync } from "../files/groupsync.ts";
import type { Entering } from "./entering.ts";
import { EnvelopeError, formatTodo, parseAnyEnvelope, parseEnvelope } from "./envelope.ts";
import { fmtqfn, type MessId, messIdOf, splitOf } from "./fmtqfn.ts";
import { type MadeClock, setMade } from "./made.ts";
import { DEATH_SECONDS } from "./protocol.ts";

const dataSync = promisify(fdatasync);

/** Up to here a message waits in memory for its envelope. */
const MEMORY_MAX = 64 * 1024;
/** A single writev takes no more than 1024 pieces. */
const CHUNKS_MAX = 500;
/** So many numbers in a row may be unfit for a message. */
const NUMBERS_MAX = 20;

/** qmail-queue's exit code for what is wrong with an envelope. */
export const ENVELOPE_CODES: Readonly<Record<EnvelopeError["reason"], number>> = {
  address: QQ.addressTooLong,
  control: QQ.rejected,
  format: QQ.badEnvelope,
  end: QQ.readError,
  many: QQ.noMemory,
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
  /** Which message of that number (made.ts). */
  readonly made: number;
  /** Bytes of the mess file. */
  readonly size: number;
  /** Content of the todo file. */
  readonly todo: Buffer;
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
  readonly made: MadeClock;
  /** Where each message stands as long as it is on its way; nobody else looks when absent. */
  readonly entering?: Entering;
  /** Seconds since 1970. */
  readonly now: () => number;
  /** Milliseconds of a clock that nobody sets; `performance.now` when absent. */
  readonly elapsed?: () => number;
  /** The message is in todo for good: called before anybody else may touch its number. */
  queued?(queued: Queued): void;
  /**
   * The message has lost its name in todo again: true when qmail-send does not know of it, and promises nothing to
   * anybody. When absent nobody can say.
   */
  retract?(message: Pick<Queued, "id" | "made">): Promise<boolean>;
}

/**
 * The descriptors stay open until the message is the queue's or gone: so long the filesystem cannot give its
 * number to another file, whatever becomes of its names.
 */
export class Intake {
  readonly #context: IntakeContext;
  readonly #source: Source;
  readonly #qp: number;
  readonly #elapsed: () => number;
  readonly #startedMs: number;
  readonly #over = Promise.withResolvers<void>();
  #chunks: Buffer[];
  #buffered: number;
  #size = 0;
  #id: MessId | null = null;
  /** It has names that are ours to remove. */
  #named = false;
  #messFd = -1;
  #intdFd = -1;
  #made = 0;
  #linked = false;
  #committing = false;
  #failure: QueueError | null = null;

  constructor(context: IntakeContext, source: Source, qp: number) {
    this.#context = context;
    this.#source = source;
    this.#qp = qp;
    this.#elapsed = context.elapsed ?? (() => performance.now());
    this.#startedMs = this.#elapsed();
    const received = `Received: (qmail ${qp} invoked ${source.how}); ${date822(context.now())}\n`;
    this.#chunks = [Buffer.from(received, "latin1")];
    this.#buffered = received.length;
  }

  /** Which message of its number this is (made.ts). */
  get made(): number {
    return this.#made;
  }

  /** True as soon as the message may be found in todo. */
  get linked(): boolean {
    return this.#linked;
  }

  /** Resolves when the message is the queue's, or given up, and its number is not ours any more. */
  get over(): Promise<void> {
    return this.#over.promise;
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
   * message, its envelope and their names are durable. Throws QueueError; then nothing is left, or what no
   * recipient will get, or, when nobody can say that, a message whose sender does not know that it arrived.
   */
  async commit(envelopeBytes: Buffer): Promise<Queued> {
    this.#committing = true;
    try {
      this.#attempt(QQ.writeError, () => this.#write());
      if (this.#failure) throw this.#failure;
      const todo = this.#todoBytes(envelopeBytes);
      const id = this.#id as MessId;
      this.#writeIntd(id, todo);
      call(QQ.writeError, "set the time of the message", () => setMade(this.#messFd, this.#made));
      await this.#syncFiles(id);
      // Given up while the disk was waited for.
      if (this.#failure) throw this.#failure;
      if (this.#elapsed() - this.#startedMs > DEATH_SECONDS * 1000) {
        throw new QueueError(QQ.timeout, "cannot queue a message that took more than a day");
      }
      const { queue } = this.#context;
      call(QQ.todoFile, "link into todo", () =>
        linkSync(`${queue}/${fmtqfn("intd", id)}`, `${queue}/${fmtqfn("todo", id)}`),
      );
      // From here on the message may be qmail-send's.
      this.#linked = true;
      const queued = { id, made: this.#made, size: this.#size, todo };
      await this.#syncTodo(queued);
      this.#context.queued?.(queued);
      return queued;
    } catch (error) {
      if (!this.#linked) this.#remove();
      throw error;
    } finally {
      this.#end();
    }
  }

  /** Gives the message up and removes what was made; what has its name in todo stays. */
  abort(): void {
    this.#failure ??= new QueueError(QQ.readError, "the message was given up");
    if (this.#linked) return;
    this.#remove();
    // What waits for the disk still needs the descriptors, and closes them.
    if (!this.#committing) this.#end();
  }

  #write(): void {
    if (this.#messFd < 0) this.#create();
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

  /** The mess file is made under pid/ first, because its name is its own inode number. */
  #create(): void {
    // Files whose numbers do not serve: open for now, or the next one would have the same.
    const unfit: number[] = [];
    try {
      while (!this.#createOnce()) {
        unfit.push(this.#messFd);
        this.#messFd = -1;
        if (unfit.length < NUMBERS_MAX) continue;
        throw new QueueError(QQ.messFile, "cannot find a number that is not in todo/ already");
      }
    } finally {
      for (const fd of unfit) closeSync(fd);
    }
  }

  /** False for a number with an envelope in todo/ but no message: who reads todo would take it for ours. */
  #createOnce(): boolean {
    const { queue, made, entering } = this.#context;
    this.#made = made.next();
    const pid = `${queue}/pid/${process.pid}.${this.#made}.${this.#qp}`;
    this.#messFd = call(QQ.pidFile, "create a file in pid", () => openSync(pid, "wx", 0o644));
    try {
      const id = messIdOf(fstatSync(this.#messFd, { bigint: true }).ino);
      const todo = `${queue}/${fmtqfn("todo", id)}`;
      if (statSync(todo, { throwIfNoEntry: false })) return false;
      call(QQ.messFile, "link into mess", () => linkSync(pid, `${queue}/${fmtqfn("mess", id)}`));
      this.#id = id;
      this.#named = true;
      entering?.begin(id, this);
      return true;
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

  #writeIntd(id: MessId, todo: Buffer): void {
    const path = `${this.#context.queue}/${fmtqfn("intd", id)}`;
    this.#intdFd = call(QQ.intdFile, "create a file in intd", () => createAnew(path));
    call(QQ.writeError, "write the envelope", () => {
      for (let at = 0; at < todo.length; ) at += writeSync(this.#intdFd, todo, at);
    });
  }

  /** Waits for all of it even when one fails: nothing may be closed or given away that the disk still works on. */
  async #syncFiles(id: MessId): Promise<void> {
    const { queue, sync, fsyncCarriesName } = this.#context;
    const results = await Promise.allSettled([
      dataSync(this.#messFd),
      dataSync(this.#intdFd),
      fsyncCarriesName ? null : sync.sync(`${queue}/mess/${splitOf(id)}`),
    ]);
    const failed = results.find(({ status }) => status === "rejected") as PromiseRejectedResult;
    if (failed) rethrowAs(QQ.writeError, "sync the message")(failed.reason);
  }

  async #syncTodo(queued: Queued): Promise<void> {
    try {
      await this.#context.sync.sync(`${this.#context.queue}/todo`);
    } catch (error) {
      await this.#takeBack(queued).catch(() => {});
      throw new QueueError(QQ.todoFile, "cannot sync todo", error);
    }
  }

  /**
   * Not promised to the sender, so it should not stay: it would arrive twice. But it goes only when nobody has it:
   * qmail-send may have found it in todo meanwhile. Without its name there it cannot find it any more. Rejects when
   * the name stays; then the message stays, too.
   */
  async #takeBack({ id, made }: Queued): Promise<void> {
    const { queue, retract } = this.#context;
    const todo = `${queue}/${fmtqfn("todo", id)}`;
    unlinkSync(todo);
    if (await retract?.({ id, made })) {
      this.#linked = false;
      this.#remove();
    } else if (retract) linkSync(`${queue}/${fmtqfn("intd", id)}`, todo);
    // When nobody can say what is left is garbage, or another qmail-send's.
  }

  /** Removes the names, which nobody else has seen, in order; the descriptors are closed at the end. */
  #remove(): void {
    this.#chunks = [];
    if (this.#id === null || !this.#named) return;
    this.#named = false;
    const { queue } = this.#context;
    if (this.#intdFd >= 0 && !isUnlinked(`${queue}/${fmtqfn("intd", this.#id)}`)) return;
    isUnlinked(`${queue}/${fmtqfn("mess", this.#id)}`);
  }

  /** Nothing of the message is ours any more. */
  #end(): void {
    for (const fd of [this.#intdFd, this.#messFd]) if (fd >= 0) closeSync(fd);
    this.#intdFd = -1;
    this.#messFd = -1;
    if (this.#id !== null) this.#context.entering?.end(this.#id, this);
    this.#over.resolve();
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

/** False when the name stays: it is found by qmail-send's cleanup. */
function isUnlinked(path: string): boolean {
  try {
    unlinkSync(path);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT";
  }
}
