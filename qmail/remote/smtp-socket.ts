/** A connection to a mail server: lines out, replies in, in the clear or over TLS. */

import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { type Reply, ReplyReader } from "./reply.ts";

/** The connection died, or the server did not answer in time or not as a server. */
export class DroppedError extends Error {}

/** What went over the wire, for who wants to watch: a whole line or reply, or a note in parentheses. */
export type Trace = (direction: ">" | "<" | "*", text: string) => void;

interface Waiting {
  resolve(reply: Reply): void;
  reject(error: Error): void;
}

export class SmtpSocket {
  #socket: Socket;
  readonly #timeout: number;
  readonly #trace: Trace | undefined;
  #reader = new ReplyReader();
  /** Replies that nobody has asked for yet: the answers to commands sent together. */
  #replies: Reply[] = [];
  #waiting: Waiting | null = null;
  #dropped: Error | null = null;

  /** `timeout`: milliseconds that each answer may take. */
  constructor(socket: Socket, timeout: number, trace?: Trace) {
    this.#socket = socket;
    this.#timeout = timeout;
    this.#trace = trace;
    this.#listen();
  }

  get alive(): boolean {
    return this.#dropped === null;
  }

  /** True when the server has said something that nothing of ours asked for. */
  get surprised(): boolean {
    return this.#replies.length > 0 || this.#reader.pending;
  }

  /** The next reply. Rejects with DroppedError. */
  reply(): Promise<Reply> {
    const known = this.#replies.shift();
    if (known) return Promise.resolve(known);
    if (this.#dropped) return Promise.reject(this.#dropped);
    const reply = new Promise<Reply>((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
    return this.within(this.#timeout, reply);
  }

  /** Sends a command and waits for its answer. `shown` stands in the trace for a line with a secret. */
  async command(line: string, shown = line): Promise<Reply> {
    this.#trace?.(">", shown);
    await this.send(Buffer.from(`${line}\r\n`, "latin1"));
    return this.reply();
  }

  /** Sends commands in one piece; their answers are to be asked for one by one. */
  async together(lines: readonly string[]): Promise<void> {
    for (const line of lines) this.#trace?.(">", line);
    await this.send(Buffer.from(`${lines.join("\r\n")}\r\n`, "latin1"));
  }

  /** Resolves when more may be sent. Rejects with DroppedError. */
  async send(bytes: Buffer): Promise<void> {
    if (this.#dropped) throw this.#dropped;
    if (!this.#socket.write(bytes)) await this.within(this.#timeout, this.#drained());
  }

  #drained(): Promise<void> {
    const socket = this.#socket;
    return new Promise((resolve, reject) => {
      const settle = (action: () => void) => {
        socket.off("drain", drained);
        socket.off("close", closed);
        action();
      };
      const drained = () => settle(resolve);
      const closed = () => settle(() => reject(this.#dropped ?? new DroppedError()));
      socket.on("drain", drained);
      socket.on("close", closed);
    });
  }

  /**
   * Drops the connection when `work` takes more than `ms`: a server must not hold us by a byte now and then, nor by
   * one answer after another that comes just in time.
   */
  async within<T>(ms: number, work: Promise<T>): Promise<T> {
    const timer = setTimeout(() => this.#drop(), ms);
    try {
      return await work;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Goes over to TLS. Resolves with the socket when the handshake is done, whatever the certificate;
   * rejects with the handshake's error. What the server said before counts no more.
   */
  startTls(options: ConnectionOptions): Promise<TLSSocket> {
    const plain = this.#socket;
    plain.off("data", this.#take);
    plain.off("end", this.#drop);
    plain.off("close", this.#drop);
    this.#reader = new ReplyReader();
    this.#replies = [];
    return new Promise((resolve, reject) => {
      const secure = connectTls({ ...options, socket: plain, rejectUnauthorized: false });
      const timer = setTimeout(() => failed(new Error("no handshake in time")), this.#timeout);
      const failed = (error: Error) => {
        clearTimeout(timer);
        this.#dropped = new DroppedError();
        secure.removeAllListeners();
        secure.on("error", () => {}).destroy();
        plain.destroy();
        reject(error);
      };
      secure.once("error", failed);
      secure.once("close", () => failed(new Error("the connection was closed")));
      secure.once("secureConnect", () => {
        clearTimeout(timer);
        secure.removeAllListeners("error");
        secure.removeAllListeners("close");
        this.#socket = secure;
        this.#listen();
        resolve(secure);
      });
    });
  }

  /** Says goodbye; the answer would change nothing. */
  quit(): void {
    if (this.#dropped) return;
    this.#dropped = new DroppedError();
    this.#socket.end("QUIT\r\n");
    // A server that does not close its side is not waited for.
    this.#socket.setTimeout(QUIT_MS, () => this.#socket.destroy());
  }

  destroy(): void {
    this.#dropped ??= new DroppedError();
    this.#socket.destroy();
  }

  #listen(): void {
    const socket = this.#socket;
    socket.on("data", this.#take);
    socket.on("error", () => {});
    socket.on("end", this.#drop);
    socket.on("close", this.#drop);
  }

  readonly #take = (bytes: Buffer): void => {
    if (this.#dropped) return;
    try {
      for (const reply of this.#reader.push(bytes)) this.#deliver(reply);
    } catch {
      this.#drop();
    }
    // Nobody says so much unasked.
    if (this.#replies.length > REPLIES_MAX) this.#drop();
  };

  #deliver(reply: Reply): void {
    this.#trace?.("<", reply.text.trimEnd());
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting) waiting.resolve(reply);
    else this.#replies.push(reply);
  }

  readonly #drop = (): void => {
    this.#dropped ??= new DroppedError();
    this.#socket.destroy();
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.reject(this.#dropped);
  };
}

const QUIT_MS = 5000;
/** More than the answers to all commands that we send together. */
const REPLIES_MAX = 1000;
