/** A small SMTP client for floods: one connection, one transaction after another, and some bad manners. */

import { connect, type Socket } from "node:net";
import type { Post } from "./mail-ledger.ts";

/** The connection is gone, and with it the answer. */
export class HungUp extends Error {}

export interface Manners {
  /** Hangs up behind so much of the message: half of it, or all of it without waiting for the answer. */
  readonly leaves?: "half" | "end";
  /** Sends in so many pieces with pauses of so many milliseconds. */
  readonly slow?: { readonly pieces: number; readonly pauseMs: number };
}

export class SmtpClient {
  readonly #socket: Socket;
  #text = "";
  #wake: (() => void) | null = null;
  #gone = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const wake = () => {
      this.#wake?.();
      this.#wake = null;
    };
    socket.setEncoding("latin1");
    socket.setNoDelay(true);
    socket.on("data", (text: string) => {
      this.#text += text;
      wake();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#gone = true;
      wake();
    });
  }

  /** Connects to this machine. Throws HungUp. */
  static async connect(port: number): Promise<SmtpClient> {
    const client = new SmtpClient(connect({ port, host: "127.0.0.1" }));
    await client.#expect("220");
    await client.#ask("EHLO client.example.test", "250");
    return client;
  }

  get gone(): boolean {
    return this.#gone;
  }

  /** Sends a message. True: accepted; false: refused. Throws HungUp when no answer came. */
  async send({ sender, recipients, text }: Post, { leaves, slow }: Manners = {}): Promise<boolean> {
    const envelope = [
      `MAIL FROM:<${sender}>`,
      ...recipients.map((recipient) => `RCPT TO:<${recipient}>`),
    ];
    let taken = true;
    this.#write(`${[...envelope, "DATA"].join("\r\n")}\r\n`);
    for (const _ of envelope) taken = (await this.#reply())[0] === "2" && taken;
    const go = (await this.#reply())[0] === "3";
    if (!go) {
      await this.#ask("RSET", "250");
      return false;
    }
    const bytes = text.toString("latin1").replaceAll("\n", "\r\n");
    await this.#data(leaves === "half" ? bytes.slice(0, bytes.length >> 1) : bytes, slow);
    if (leaves === "half") return this.#leave();
    this.#write(".\r\n");
    if (leaves === "end") return this.#leave();
    const ok = (await this.#reply())[0] === "2";
    if (ok && !taken) throw new Error("accepted for fewer than were asked for");
    return ok;
  }

  async quit(): Promise<void> {
    this.#write("QUIT\r\n");
    await this.#reply().catch(() => {});
    this.#socket.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  async #data(text: string, slow: Manners["slow"]): Promise<void> {
    if (!slow) {
      this.#write(text);
      return;
    }
    const piece = Math.ceil(text.length / slow.pieces);
    for (let at = 0; at < text.length; at += piece) {
      this.#write(text.slice(at, at + piece));
      await new Promise((resume) => setTimeout(resume, slow.pauseMs));
    }
  }

  #leave(): never {
    // What was written leaves first.
    this.#socket.end();
    this.#socket.resume();
    throw new HungUp("gone on purpose");
  }

  #write(text: string): void {
    if (!this.#gone) this.#socket.write(text, "latin1");
  }

  async #ask(command: string, code: string): Promise<void> {
    this.#write(`${command}\r\n`);
    await this.#expect(code);
  }

  async #expect(code: string): Promise<void> {
    const reply = await this.#reply();
    if (reply.startsWith(code)) return;
    this.destroy();
    throw new HungUp(`${reply.trim()}, not ${code}`);
  }

  /** The next reply, all of its lines. */
  async #reply(): Promise<string> {
    for (;;) {
      const [reply] = /^(?:\d{3}-.*\r\n)*\d{3} .*\r\n/.exec(this.#text) ?? [];
      if (reply !== undefined) {
        this.#text = this.#text.slice(reply.length);
        return reply;
      }
      if (this.#gone) throw new HungUp("no reply");
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
    }
  }
}
