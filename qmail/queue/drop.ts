/**
 * drop: how a local user without privilege leaves a message for the queue.
 *
 * The directory is writable for all and readable for none (mode 3733, group qmail). A file is the
 * message, the envelope, and a trailer with their lengths; its owner is who queued it. While the
 * daemons run the file is taken in at once; otherwise at their next start.
 */

import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  rmdirSync,
  type Stats,
  unlinkSync,
} from "node:fs";
import { crc32 } from "node:zlib";
import { QQ } from "../exit.ts";
import { fsPath } from "../files/bytes.ts";
import type { Ids } from "../ids.ts";
import { Warnings } from "../warn.ts";
import { DropMemory } from "./drop-memory.ts";
import { Intake, type IntakeContext, type Queued, QueueError, type Source } from "./intake.ts";
import { DROP_DIRECTORY, DROP_NAME, ENVELOPE_MAX, OSSIFIED_SECONDS } from "./protocol.ts";

const MAGIC = "qmaildrop 1\n";
const TRAILER = 20 + MAGIC.length;
const CHUNK = 64 * 1024;
/** Envelopes longer than this are long. */
const LONG = 1 << 20;
const TAKEN_MAX = 1000;
/** Lines for the log in one look. */
const TOLD_MAX = 20;
const NAMES_A_TURN = 50;
/** Characters of a stranger's name in the log. */
const SHOWN_MAX = 60;
/** What stat(2) counts blocks in. */
const BLOCK = 512;
const SPARSE_MIN = 1 << 20;
const SPARSE_RATIO = 32;

/** The names that qmail-queue makes (`dropName`) for what is not finished. */
const UNFINISHED = /^[0-9a-f.]{1,100}\.tmp$/;

/** A new name; complete files end in `.msg`, files still being written in `.tmp`. */
export function dropName(): string {
  return `${Math.floor(Date.now() / 1000)}.${process.pid}.${randomBytes(12).toString("hex")}`;
}

/** The greatest number of a process that Linux has. */
const PID_MAX = 1 << 22;

/**
 * The "qp" of a message in the drop file `name`: the process that has left it, which whoever has started that tells people. Null for a
 * name that says none.
 */
export function dropQp(name: string): number | null {
  const pid = Number(/^\d+\.([1-9]\d*)\.[0-9a-f]+\.msg$/.exec(name)?.[1]);
  return pid <= PID_MAX ? pid : null;
}

/** What stands at the end of a drop file. */
export interface Trailer {
  /** Bytes of the message, and of the envelope behind it. */
  readonly size: number;
  readonly envelopeSize: number;
  /** CRC-32 of both: the file is not synced, and a power cut may leave its size without its bytes. */
  readonly sum: number;
}

/** The bytes of a trailer. */
export function formatTrailer({ size, envelopeSize, sum }: Trailer): Buffer {
  const trailer = Buffer.alloc(TRAILER);
  trailer.writeBigUInt64BE(BigInt(size), 0);
  trailer.writeBigUInt64BE(BigInt(envelopeSize), 8);
  trailer.writeUInt32BE(sum, 16);
  trailer.write(MAGIC, 20, "latin1");
  return trailer;
}

/** The reverse of `formatTrailer`; null for bytes that are no trailer. */
export function parseTrailer(bytes: Buffer): Trailer | null {
  if (bytes.length !== TRAILER || bytes.toString("latin1", 20) !== MAGIC) return null;
  return {
    size: Number(bytes.readBigUInt64BE(0)),
    envelopeSize: Number(bytes.readBigUInt64BE(8)),
    sum: bytes.readUInt32BE(16),
  };
}

/** A file that no qmail-queue has finished, or that a power cut damaged before anything was promised. */
class BrokenDropError extends QueueError {
  constructor(message: string) {
    super(QQ.readError, message);
  }
}

/** One that will not open until its owner changes something. */
class ClosedDropError extends QueueError {}

export class Drops {
  readonly #context: IntakeContext;
  readonly #ids: Ids;
  readonly #directory: string;
  readonly #memory = new DropMemory();
  readonly #warnings = new Warnings();
  /** Long envelopes are taken in one after another, since each is in memory as a whole. */
  #long: Promise<unknown> = Promise.resolve();
  /** The last files taken in: one asked for twice (at start, by name and by reading) counts once. */
  readonly #taken = new Map<string, Promise<void>>();

  constructor(context: IntakeContext, ids: Ids, directory = DROP_DIRECTORY) {
    this.#directory = directory;
    this.#context = context;
    this.#ids = ids;
  }

  /** Takes in the file `name`, and removes it. Rejects with QueueError; the file then stays. */
  take(name: string, qp: number): Promise<void> {
    const known = this.#taken.get(name);
    if (known) return known;
    const taking = this.#take(name, qp);
    this.#taken.set(name, taking);
    if (this.#taken.size > TAKEN_MAX) {
      for (const oldest of this.#taken.keys()) {
        this.#taken.delete(oldest);
        break;
      }
    }
    taking.catch(() => this.#taken.delete(name));
    return taking;
  }

  async #take(name: string, qp: number): Promise<void> {
    if (!DROP_NAME.test(name)) {
      throw new QueueError(QQ.readError, `cannot take in ${quote(name)}: not a drop file's name`);
    }
    const path = this.#path(name);
    const fd = openDrop(path);
    try {
      const stat = fstatSync(fd);
      if (this.#memory.isStuck(name, stat)) return this.#remove(name, stat);
      const refusal = this.#memory.refusal(name, stat);
      if (refusal) throw refusal;
      try {
        this.#check(fd, stat, name);
        await this.#copy(fd, stat, qp);
      } catch (error) {
        // Reading it again would find the same.
        if (error instanceof BrokenDropError) this.#memory.refuse(name, stat, error);
        throw error;
      }
      this.#remove(name, stat);
    } finally {
      closeSync(fd);
    }
  }

  /** The message is in the queue: whatever becomes of the file, the sender hears so. */
  #remove(name: string, stat: Stats): void {
    try {
      removeFile(this.#path(name));
      this.#memory.forget(name);
    } catch (error) {
      if (!this.#memory.isStuck(name, stat)) {
        const reason = (error as Error).message;
        this.#warnings.say(`cannot remove ${quote(name)}, which is in the queue: ${reason}`);
      }
      // Tried again at the next look, and never copied again meanwhile.
      this.#memory.stick(name, stat);
    }
  }

  /**
   * Takes in what was left while no server ran, and removes what was never finished. Anybody may have made any name
   * there: none may keep the others from being looked at, and each is told of once.
   */
  async takeAll(nextQp: () => number): Promise<void> {
    let told = 0;
    let seen = 0;
    for (const name of readdirSync(this.#directory, "latin1")) {
      const trouble = await this.#look(name, nextQp);
      if (trouble !== null && ++told <= TOLD_MAX) this.#warnings.say(trouble);
      // Others have their turn, however many names there are.
      if (++seen % NAMES_A_TURN === 0) await new Promise(setImmediate);
    }
    if (told > TOLD_MAX) this.#warnings.say(`${told - TOLD_MAX} more in drop cannot be taken in`);
  }

  /** Takes in the file `name`, or removes it when it is old and will never be a message. Resolves with what is to be told. */
  async #look(name: string, nextQp: () => number): Promise<string | null> {
    let stat: Stats | undefined;
    try {
      stat = lstatSync(fsPath(this.#path(name)), { throwIfNoEntry: false });
      if (!stat) return null;
      if (this.#memory.isStuck(name, stat)) this.#remove(name, stat);
      else if (stat.isFile() && DROP_NAME.test(name))
        await this.take(name, dropQp(name) ?? nextQp());
      else if (!stat.isFile() || !UNFINISHED.test(name)) throw odd(name);
      else if (isOld(stat, this.#context.now())) removeFile(this.#path(name));
      return null;
    } catch (error) {
      if (!stat) return `cannot look at ${quote(name)} in drop: ${(error as Error).message}`;
      return this.#trouble(name, stat, error as Error);
    }
  }

  /** What is to be told of `error` with the file `name`: what lasts once only. When it is old the file goes. */
  #trouble(name: string, stat: Stats, error: Error): string | null {
    const broken = error instanceof BrokenDropError;
    const news = this.#memory.isNews(name, stat);
    // Never one that only cannot be taken in now: it may have been promised.
    if (broken && isOld(stat, this.#context.now())) {
      try {
        removeOdd(this.#path(name), stat);
        this.#memory.forget(name);
      } catch (cause) {
        return news ? `cannot remove ${quote(name)} from drop: ${(cause as Error).message}` : null;
      }
    }
    const lasts = broken || error instanceof ClosedDropError;
    return lasts && !news ? null : error.message;
  }

  #path(name: string): string {
    return `${this.#directory}/${name}`;
  }

  /** Nobody may pass off another's file as his message: hence one name only, and our group. */
  #check(fd: number, stat: Stats, name: string): void {
    const ours = this.#ids.sandbox || stat.gid === this.#ids.gid.qmail;
    if (!stat.isFile() || stat.nlink !== 1 || !ours) {
      throw new BrokenDropError(`cannot take in ${quote(name)}: not made by qmail-queue`);
    }
    if (isSparse(stat) && isSparse(synced(fd))) {
      throw new BrokenDropError(
        `cannot take in ${quote(name)}: most of its bytes were not written`,
      );
    }
  }

  async #copy(fd: number, stat: Stats, qp: number): Promise<Queued> {
    const trailer = readTrailer(fd, stat.size);
    if (!trailer) throw new BrokenDropError("cannot take in a drop file: it is not complete");
    const copy = async () => {
      const intake = new Intake(this.#context, this.#source(stat.uid), qp);
      try {
        return await intake.commit(await this.#copyBytes(fd, trailer, intake));
      } catch (error) {
        intake.abort();
        throw error;
      }
    };
    if (trailer.envelopeSize <= LONG) return copy();
    const copied = this.#long.then(copy);
    this.#long = copied.catch(() => {});
    return copied;
  }

  /** Hands the message over; resolves with its envelope. */
  async #copyBytes(fd: number, trailer: Trailer, intake: Intake): Promise<Buffer> {
    const { size, envelopeSize, sum } = trailer;
    let read = 0;
    for (let at = 0; at < size; at += CHUNK) {
      const bytes = readAt(fd, at, Math.min(CHUNK, size - at));
      read = crc32(bytes, read);
      intake.put(bytes);
      // Let others have their turn: a drop can be of any size.
      await new Promise(setImmediate);
    }
    const envelope = readAt(fd, size, envelopeSize);
    if (crc32(envelope, read) === sum) return envelope;
    throw new BrokenDropError("cannot take in a drop file: its bytes are not those written");
  }

  #source(uid: number): Source {
    const { sandbox, uid: known } = this.#ids;
    if (!sandbox && uid === known.alias) return { uid, how: "by alias" };
    if (!sandbox && uid === known.qmaild) return { uid, how: "from network" };
    if (!sandbox && uid === known.qmails) return { uid, how: "for bounce" };
    return { uid, how: `by uid ${uid}` };
  }
}

function odd(name: string): BrokenDropError {
  return new BrokenDropError(`cannot take in ${quote(name)}: not made by qmail-queue`);
}

function isOld({ mtimeMs }: Stats, now: number): boolean {
  return mtimeMs / 1000 + OSSIFIED_SECONDS < now;
}

/** Of a link, itself; a file that is gone is removed. */
function removeFile(path: string): void {
  try {
    unlinkSync(fsPath(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

function removeOdd(path: string, stat: Stats): void {
  if (stat.isDirectory()) rmdirSync(fsPath(path));
  else removeFile(path);
}

/**
 * True when the disk has far less of the file than its size: a few bytes of his would cost its user nothing, and
 * the queue all the zeros between them. Filesystems that compress get much leeway.
 */
function isSparse({ size, blocks }: Stats): boolean {
  return size > SPARSE_MIN && blocks * BLOCK * SPARSE_RATIO < size;
}

/** Some filesystems count the blocks only when they are written. */
function synced(fd: number): Stats {
  fsyncSync(fd);
  return fstatSync(fd);
}

/** A name that anybody may have made, for the log. */
function quote(name: string): string {
  const shown = name.length > SHOWN_MAX ? `${name.slice(0, SHOWN_MAX)}...` : name;
  return `"${shown.replace(/[^ !#-~]/g, "?")}"`;
}

/** The trailer of the open drop file of `fileSize` bytes; null when it is not complete. */
export function readTrailer(fd: number, fileSize: number): Trailer | null {
  const trailer = parseTrailer(readAt(fd, Math.max(0, fileSize - TRAILER), TRAILER));
  if (!trailer || trailer.envelopeSize > ENVELOPE_MAX) return null;
  return trailer.size + trailer.envelopeSize + TRAILER === fileSize ? trailer : null;
}

function openDrop(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const text = `cannot take in a drop file: ${message}`;
    throw code === "EACCES" || code === "ELOOP"
      ? new ClosedDropError(QQ.readError, text)
      : new QueueError(QQ.readError, text);
  }
}

function readAt(fd: number, position: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(Math.max(0, length));
  let done = 0;
  while (done < bytes.length) {
    const read = readSync(fd, bytes, done, bytes.length - done, position + done);
    if (read === 0) return bytes.subarray(0, done);
    done += read;
  }
  return bytes;
}
