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
  openSync,
  readdirSync,
  readSync,
  type Stats,
  statSync,
  unlinkSync,
} from "node:fs";
import { crc32 } from "node:zlib";
import { QQ } from "../exit.ts";
import type { Ids } from "../ids.ts";
import { Intake, type IntakeContext, type Queued, QueueError, type Source } from "./intake.ts";
import { DROP_DIRECTORY, ENVELOPE_MAX, OSSIFIED_SECONDS } from "./protocol.ts";

const MAGIC = "qmaildrop 1\n";
const TRAILER = 20 + MAGIC.length;
const CHUNK = 64 * 1024;
const TAKEN_MAX = 1000;

/** A new name; complete files end in `.msg`, files still being written in `.tmp`. */
export function dropName(): string {
  return `${Math.floor(Date.now() / 1000)}.${process.pid}.${randomBytes(12).toString("hex")}`;
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

export class Drops {
  readonly #context: IntakeContext;
  readonly #ids: Ids;
  readonly #directory: string;
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
    if (!/^[0-9a-f.]{1,100}\.msg$/.test(name)) {
      throw new QueueError(QQ.readError, `cannot take in "${name}": not a drop file's name`);
    }
    const path = `${this.#directory}/${name}`;
    const fd = openDrop(path);
    try {
      const stat = fstatSync(fd);
      this.#check(stat, path);
      await this.#copy(fd, stat, qp);
      unlinkSync(path);
    } finally {
      closeSync(fd);
    }
  }

  /** Takes in what was left while no server ran, and removes what was never finished. */
  async takeAll(nextQp: () => number): Promise<void> {
    for (const name of readdirSync(this.#directory)) {
      if (!name.endsWith(".msg")) {
        this.#removeIfOld(`${this.#directory}/${name}`);
        continue;
      }
      try {
        await this.take(name, nextQp());
      } catch (error) {
        process.stderr.write(`warning: qmail-queue: ${(error as Error).message}\n`);
        // Never one that only cannot be taken in now: it may have been promised.
        if (error instanceof BrokenDropError) this.#removeIfOld(`${this.#directory}/${name}`);
      }
    }
  }

  /** Nobody may pass off another's file as his message: hence one name only, and our group. */
  #check(stat: Stats, path: string): void {
    const ours = this.#ids.sandbox || stat.gid === this.#ids.gid.qmail;
    if (!stat.isFile() || stat.nlink !== 1 || !ours) {
      throw new BrokenDropError(`cannot take in "${path}": not made by qmail-queue`);
    }
  }

  async #copy(fd: number, stat: Stats, qp: number): Promise<Queued> {
    const trailer = readTrailer(fd, stat.size);
    if (!trailer) throw new BrokenDropError("cannot take in a drop file: it is not complete");
    const { size, envelopeSize, sum } = trailer;
    const intake = new Intake(this.#context, this.#source(stat.uid), qp);
    let read = 0;
    for (let at = 0; at < size; at += CHUNK) {
      const bytes = readAt(fd, at, Math.min(CHUNK, size - at));
      read = crc32(bytes, read);
      intake.put(bytes);
      // Let others have their turn: a drop can be of any size.
      await new Promise(setImmediate);
    }
    const envelope = readAt(fd, size, envelopeSize);
    if (crc32(envelope, read) !== sum) {
      intake.abort();
      throw new BrokenDropError("cannot take in a drop file: its bytes are not those written");
    }
    return intake.commit(envelope);
  }

  #source(uid: number): Source {
    const { sandbox, uid: known } = this.#ids;
    if (!sandbox && uid === known.alias) return { uid, how: "by alias" };
    if (!sandbox && uid === known.qmaild) return { uid, how: "from network" };
    if (!sandbox && uid === known.qmails) return { uid, how: "for bounce" };
    return { uid, how: `by uid ${uid}` };
  }

  #removeIfOld(path: string): void {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat && stat.mtimeMs / 1000 + OSSIFIED_SECONDS < this.#context.now()) unlinkSync(path);
  }
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
    throw new QueueError(QQ.readError, `cannot take in a drop file: ${(error as Error).message}`);
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
