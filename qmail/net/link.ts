/**
 * A link: frames between two long-lived processes over a stream socket.
 *
 * A frame is type (1 byte), id (4 bytes), length (4 bytes, big-endian), payload. All frames of one
 * turn of the event loop leave in one write, so under load a hop costs a fraction of a system call.
 *
 * The peer need not be believed: frames.ts says what is heard, and a link that says anything else is ended, and
 * nothing but the link. Of a peer that does not read what it is told only so much is kept.
 */

import type { Socket } from "node:net";
import { type Ears, type Kind, MAX_FRAME } from "./frames.ts";

const HEADER = 9;
/**
 * Least time between two writes, in milliseconds. Waking the other process costs more than all it
 * does with a frame: under load it is worth a moment to wake it for many.
 */
const GAP_MS = 2;
/** A peer for which more than this waits does not read, and never will: the longest envelope, and much room. */
const UNREAD_MAX = 128 << 20;
const NONE = Buffer.alloc(0);

export interface LinkOptions {
  /** What is heard, and who takes it. */
  readonly hears: Ears;
  /** The link ended: the peer closed it or died (no error), or it broke. Called once. */
  close(error?: Error): void;
  /**
   * Who has not read what it was told is not heard further. For the end that must not believe the other, and never
   * for both ends of a link: each would wait for the other.
   */
  readonly guarded?: boolean;
  /** A frame that has begun must be whole after this time, in milliseconds. */
  readonly frameMs?: number;
}

/** Why a link was ended: its peer did what it must not do. */
export class Refusal extends Error {}

export class Link {
  readonly #socket: Socket;
  readonly #options: LinkOptions;
  #out: Buffer[] = [];
  #outBytes = 0;
  #flushing = false;
  #drained: Promise<void> | null = null;
  #lastFlush = 0;
  /** What has come and is not heard yet: the beginning of a frame, or what came after `pause`. */
  #kept: Buffer = NONE;
  #keptBytes = 0;
  /** So much must be there before there is anything to hear. */
  #wanted = HEADER;
  #unfinished: NodeJS.Timeout | null = null;
  /** How often `pause` was called without `resume`. */
  #pauses = 0;
  #hearing = false;
  #error: Error | undefined;
  #closed = false;

  constructor(socket: Socket, options: LinkOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", (error: Error) => {
      this.#error ??= error;
    });
    socket.on("end", () => socket.end());
    socket.on("close", () => {
      if (this.#closed) return;
      this.#closed = true;
      if (this.#unfinished) clearTimeout(this.#unfinished);
      this.#kept = NONE;
      options.close(this.#error);
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** True when so much waits to be written that a bulk sender should pause until `drained`. */
  get full(): boolean {
    return this.#unread > MAX_FRAME;
  }

  get #unread(): number {
    return this.#outBytes + this.#socket.writableLength;
  }

  /** Resolves when the peer has taken what was waiting, or the link has closed. */
  drained(): Promise<void> {
    this.#flush();
    if (this.#closed || this.#socket.writableLength === 0) return Promise.resolve();
    // One for all who wait: they may be many.
    this.#drained ??= new Promise((resolve) => {
      const done = () => {
        this.#socket.off("drain", done);
        this.#socket.off("close", done);
        this.#drained = null;
        resolve();
      };
      this.#socket.on("drain", done);
      this.#socket.on("close", done);
    });
    return this.#drained;
  }

  /** Sends one frame whose payload is the given parts one after another. Parts must not change afterwards. */
  send(
    { type, max }: Pick<Kind<unknown>, "type" | "max">,
    id: number,
    ...parts: readonly (Buffer | string)[]
  ): void {
    if (this.#closed) return;
    const header = Buffer.allocUnsafe(HEADER);
    let length = 0;
    const buffers = parts.map((part) => {
      const buffer = typeof part === "string" ? Buffer.from(part, "latin1") : part;
      length += buffer.length;
      return buffer;
    });
    if (length > max) throw new RangeError(`cannot send a frame ${type} of ${length} bytes`);
    header[0] = type;
    header.writeUInt32BE(id, 1);
    header.writeUInt32BE(length, 5);
    this.#out.push(header, ...buffers);
    this.#outBytes += HEADER + length;
    if (this.#unread > UNREAD_MAX) this.refuse("the peer does not read");
    else if (!this.#flushing) this.#schedule();
  }

  /** At once when it was quiet; under load not before the gap is over, so that frames gather. */
  #schedule(): void {
    this.#flushing = true;
    const wait = this.#lastFlush + GAP_MS - performance.now();
    if (wait <= 0) setImmediate(() => this.#flush());
    else setTimeout(() => this.#flush(), wait);
  }

  /** Hears nothing more until `resume` was called as often. */
  pause(): void {
    this.#pauses++;
    this.#socket.pause();
  }

  resume(): void {
    this.#pauses--;
    if (this.#pauses > 0 || this.#closed) return;
    this.#socket.resume();
    if (!this.#hearing) this.#hear();
  }

  /** Sends what waits and closes our side; the peer's remaining frames still arrive. */
  end(): void {
    this.#flush();
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Ends the link at once: its peer does what it must not do. */
  refuse(why: string): void {
    this.#error ??= new Refusal(why);
    this.#out = [];
    this.#outBytes = 0;
    this.#socket.destroy();
  }

  #flush(): void {
    this.#flushing = false;
    if (this.#out.length === 0) return;
    this.#lastFlush = performance.now();
    const data = this.#out.length === 1 ? (this.#out[0] as Buffer) : Buffer.concat(this.#out);
    this.#out = [];
    this.#outBytes = 0;
    if (!this.#socket.destroyed) this.#socket.write(data);
  }

  #read(chunk: Buffer): void {
    const first = this.#keptBytes === 0;
    this.#keep(chunk);
    if (this.#pauses === 0 && (first || this.#keptBytes >= this.#wanted)) this.#hear();
  }

  /** Room grows by doubling, so that a frame that comes byte by byte is not copied at each of them. */
  #keep(chunk: Buffer): void {
    const size = this.#keptBytes + chunk.length;
    if (this.#keptBytes === 0) {
      this.#kept = chunk;
      this.#keptBytes = size;
      return;
    }
    if (size > this.#kept.length) {
      const kept = Buffer.allocUnsafe(Math.max(size, Math.min(this.#wanted, 2 * this.#keptBytes)));
      this.#kept.copy(kept, 0, 0, this.#keptBytes);
      this.#kept = kept;
    }
    chunk.copy(this.#kept, this.#keptBytes);
    this.#keptBytes = size;
  }

  /** Hears what is there: whole frames, until one is not whole, or nothing is to be heard now. */
  #hear(): void {
    let data = this.#kept.subarray(0, this.#keptBytes);
    this.#kept = NONE;
    this.#keptBytes = 0;
    this.#hearing = true;
    while (this.#pauses === 0 && !this.#socket.destroyed) {
      this.#wanted = HEADER;
      if (data.length < HEADER) break;
      const ear = this.#options.hears.get(data[0] as number);
      const length = data.readUInt32BE(5);
      if (!ear || length > ear.max) {
        this.refuse(`a frame of type ${data[0]} with ${length} bytes`);
        break;
      }
      this.#wanted = HEADER + length;
      if (data.length < this.#wanted) break;
      const payload = data.subarray(HEADER, this.#wanted);
      if (!ear.hear(data.readUInt32BE(1), payload)) this.refuse(`a malformed frame ${data[0]}`);
      data = data.subarray(this.#wanted);
      if (this.#options.guarded && this.full) this.#waitForReader();
    }
    this.#hearing = false;
    if (this.#socket.destroyed) return;
    this.#kept = data;
    this.#keptBytes = data.length;
    this.#watch();
  }

  #waitForReader(): void {
    this.pause();
    void this.drained().then(() => this.resume());
  }

  /** Ends the link when what has begun is not whole in time. */
  #watch(): void {
    if (this.#unfinished) clearTimeout(this.#unfinished);
    this.#unfinished = null;
    const { frameMs } = this.#options;
    if (frameMs === undefined || this.#keptBytes === 0 || this.#pauses > 0) return;
    const late = () => this.refuse("a frame that does not end");
    this.#unfinished = setTimeout(() => {
      // Had we been stopped the rest may be there: what has come is read before this is called.
      this.#unfinished = setTimeout(late, 0);
    }, frameMs);
  }
}
