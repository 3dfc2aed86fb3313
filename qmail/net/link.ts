/**
 * A link: frames between two long-lived processes over a stream socket.
 *
 * A frame is type (1 byte), id (4 bytes), length (4 bytes, big-endian), payload. All frames of one
 * turn of the event loop leave in one write, so under load a hop costs a fraction of a system call.
 */

import type { Socket } from "node:net";

const HEADER = 9;
/**
 * Least time between two writes, in milliseconds. Waking the other process costs more than all it
 * does with a frame: under load it is worth a moment to wake it for many.
 */
const GAP_MS = 2;

/** No frame is larger; a peer that says so is broken and is cut off. */
export const MAX_FRAME = 1 << 20;

export interface LinkHandlers {
  /** One frame. `payload` is only valid until the handler returns: copy what must stay. */
  frame(type: number, id: number, payload: Buffer): void;
  /** The link ended: the peer closed it or died (no error), or it broke. Called once. */
  close(error?: Error): void;
}

export class Link {
  readonly #socket: Socket;
  readonly #handlers: LinkHandlers;
  #out: Buffer[] = [];
  #outBytes = 0;
  #flushing = false;
  #lastFlush = 0;
  #kept: Buffer | null = null;
  #error: Error | undefined;
  #closed = false;

  constructor(socket: Socket, handlers: LinkHandlers) {
    this.#socket = socket;
    this.#handlers = handlers;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", (error: Error) => {
      this.#error ??= error;
    });
    socket.on("end", () => socket.end());
    socket.on("close", () => {
      if (this.#closed) return;
      this.#closed = true;
      this.#handlers.close(this.#error);
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** True when so much waits to be written that a bulk sender should pause until `drained`. */
  get full(): boolean {
    return this.#outBytes + this.#socket.writableLength > MAX_FRAME;
  }

  /** Resolves when the peer has taken what was waiting, or the link has closed. */
  drained(): Promise<void> {
    this.#flush();
    if (this.#closed || this.#socket.writableLength === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        this.#socket.off("drain", done);
        this.#socket.off("close", done);
        resolve();
      };
      this.#socket.on("drain", done);
      this.#socket.on("close", done);
    });
  }

  /** Sends one frame whose payload is the given parts one after another. Parts must not change afterwards. */
  send(type: number, id: number, ...parts: readonly (Buffer | string)[]): void {
    if (this.#closed) return;
    const header = Buffer.allocUnsafe(HEADER);
    let length = 0;
    const buffers = parts.map((part) => {
      const buffer = typeof part === "string" ? Buffer.from(part, "latin1") : part;
      length += buffer.length;
      return buffer;
    });
    if (length > MAX_FRAME) throw new RangeError(`cannot send a frame of ${length} bytes`);
    header[0] = type;
    header.writeUInt32BE(id, 1);
    header.writeUInt32BE(length, 5);
    this.#out.push(header, ...buffers);
    this.#outBytes += HEADER + length;
    if (!this.#flushing) this.#schedule();
  }

  /** At once when it was quiet; under load not before the gap is over, so that frames gather. */
  #schedule(): void {
    this.#flushing = true;
    const wait = this.#lastFlush + GAP_MS - performance.now();
    if (wait <= 0) setImmediate(() => this.#flush());
    else setTimeout(() => this.#flush(), wait);
  }

  /** Sends what waits and closes our side; the peer's remaining frames still arrive. */
  end(): void {
    this.#flush();
    this.#socket.end();
  }

  destroy(): void {
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
    let data = this.#kept ? Buffer.concat([this.#kept, chunk]) : chunk;
    this.#kept = null;
    while (data.length >= HEADER) {
      const length = data.readUInt32BE(5);
      if (length > MAX_FRAME) {
        this.#error = new Error(`link: frame of ${length} bytes`);
        this.#socket.destroy();
        return;
      }
      if (data.length < HEADER + length) break;
      const payload = data.subarray(HEADER, HEADER + length);
      this.#handlers.frame(data[0] as number, data.readUInt32BE(1), payload);
      data = data.subarray(HEADER + length);
    }
    if (data.length > 0) this.#kept = data;
  }
}
