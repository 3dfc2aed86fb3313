/** A connection to a mail server: lines out, replies in, in the clear or over TLS. */

import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { TLSSocket } from "node:tls";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { Warnings } from "../warn.ts";
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
  #reader: ReplyReader;
  /** Answers that are due: to the connection itself, and to each command. */
  #due = 1;
  /** Answers that nobody has taken yet: to commands sent together. */
  #replies: Reply[] = [];
  #surplus: Reply | null = null;
  /** Where the server says that it goes. */
  #goodbye: Reply | null = null;
  #waiting: Waiting | null = null;
  #dropped: Error | null = null;

  /** `timeout`: milliseconds that each answer may take. */
  constructor(socket: Socket, timeout: number, trace?: Trace) {
    this.#socket = socket;
    this.#timeout = timeout;
    this.#trace = trace;
    this.#reader = this.#newReader();
    this.#listen();
  }

  get alive(): boolean {
    return this.#dropped === null;
  }

  /** True when the server has said something that nothing of ours asked for: what answers what is not known then. */
  get surprised(): boolean {
    return this.#surplus !== null || (this.#due === 0 && this.#reader.pending);
  }

  /** What the server has said and was not asked for. */
  get surplus(): Reply | null {
    return this.#surplus;
  }

  /** Why the server has gone, as far as it has said that; null when it has not. */
  get lastWords(): Reply | null {
    if (this.#goodbye) return this.#goodbye;
    const text = this.#reader.unfinished;
    return text === "" ? null : { code: 0, text };
  }

  /** True when an answer is there that nobody has taken yet. */
  get answered(): boolean {
    return this.#replies.length > 0;
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
    this.#expect(1);
    await this.send(Buffer.from(`${line}\r\n`, "latin1"));
    return this.reply();
  }

  /** Sends commands in one piece; their answers are to be asked for one by one. */
  async together(lines: readonly string[]): Promise<void> {
    for (const line of lines) this.#trace?.(">", line);
    this.#expect(lines.length);
    await this.send(Buffer.from(`${lines.join("\r\n")}\r\n`, "latin1"));
  }

  /** From now on so many more answers may come: what has come before answers nothing that is said now. */
  #expect(answers: number): void {
    if (this.#due === 0 && this.#reader.pending) this.surprise({ code: 0, text: "" });
    this.#due += answers;
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
    this.#reader = this.#newReader();
    this.#replies = [];
    this.#due = 0;
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

  /**
   * Says goodbye and listens whether there is more to come than the answer to that. True when all that was said
   * before stood in its place.
   */
  async farewell(): Promise<boolean> {
    try {
      const answer = this.command("QUIT");
      const reply = await this.within(Math.min(this.#timeout, QUIT_MS), answer);
      // Nothing else is answered so.
      if (reply.code === 221) return true;
      if (reply.code === GO_AHEAD) this.surprise(reply);
      await this.hangsUp();
    } catch (error) {
      if (!(error instanceof DroppedError)) throw error;
    } finally {
      this.destroy();
    }
    return !this.surprised;
  }

  /** Waits for a moment. True when the server has ended the connection, and said nothing more. */
  async hangsUp(): Promise<boolean> {
    if (!this.#socket.closed) {
      const timer = new AbortController();
      const wait = { signal: timer.signal };
      const moment = delay(Math.min(this.#timeout, QUIT_MS), undefined, wait).catch(() => {});
      await Promise.race([once(this.#socket, "close", wait).catch(() => {}), moment]);
      timer.abort();
    }
    return !this.alive && !this.surprised;
  }

  /** The server has said `reply` where it does not belong: nothing that it says counts any more. */
  surprise(reply: Reply): void {
    this.#surplus ??= reply;
    this.#drop();
  }

  destroy(): void {
    this.#dropped ??= new DroppedError();
    this.#socket.destroy();
  }

  #newReader(): ReplyReader {
    const { remoteAddress } = this.#socket;
    return new ReplyReader((line) => strays.say(`${remoteAddress} said what is no reply: ${line}`));
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
  };

  #deliver(reply: Reply): void {
    this.#trace?.("<", reply.text.trimEnd());
    if (reply.code === GOODBYE) this.#goodbye = reply;
    if (this.#due === 0) {
      // A server may go at any time, and says so (RFC 5321 section 3.8).
      if (reply.code === GOODBYE) this.#drop();
      else this.surprise(reply);
      return;
    }
    // Who is told to go ahead says more, and that has an answer too.
    if (reply.code !== GO_AHEAD) this.#due--;
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

/** The answer to DATA (RFC 5321 section 3.3). */
export const GO_AHEAD = 354;
/** A server that goes says so with this, whatever it was asked (RFC 5321 section 3.8). */
export const GOODBYE = 421;
const strays = new Warnings();
/** So long a server is waited for that has nothing more to say. */
const QUIT_MS = 5000;
