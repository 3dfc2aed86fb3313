/** The client's side of one SMTP conversation that hands over one message (RFC 5321; C qmail: qmail-remote.c, smtp). */

import type { Socket } from "node:net";
import { quoteAddress } from "../quote.ts";
import type { Message } from "../spawn/message.ts";
import type { Report } from "../spawn/report.ts";
import { BlastEncoder } from "./blast.ts";

/** A reply longer than this is kept up to here; the rest is read and thrown away. */
const REPLY_KEPT = 5000;
/** A server that says more than this in one reply means no good. */
const REPLY_MAX = 1 << 20;

/** r: taken. h: refused for good. s: refused for now. */
export interface RecipientOutcome {
  readonly status: "r" | "h" | "s";
  readonly text: string;
}

export interface Outcome {
  readonly recipients: readonly RecipientOutcome[];
  readonly report: Report;
}

interface Reply {
  readonly code: number;
  /** All lines, each with a newline. */
  readonly text: string;
}

class Dropped extends Error {}

export interface Conversation {
  readonly helohost: string;
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly message: Message;
  /** Seconds that each answer may take. */
  readonly timeout: number;
}

/** Hands the message to the server at the other end of `socket`. Never throws for what the network does. */
export async function converse(socket: Socket, conversation: Conversation): Promise<Outcome> {
  const client = new SmtpClient(socket, conversation);
  try {
    return await client.run();
  } finally {
    socket.destroy();
  }
}

class SmtpClient {
  readonly #socket: Socket;
  readonly #conversation: Conversation;
  readonly #host: string;
  readonly #recipients: RecipientOutcome[] = [];
  readonly #chunks: AsyncIterator<Buffer>;
  #input = "";
  /** The whole message is sent but not answered: it may have arrived. */
  #critical = false;

  constructor(socket: Socket, conversation: Conversation) {
    this.#socket = socket;
    this.#conversation = conversation;
    this.#host = socket.remoteAddress ?? "";
    socket.on("error", () => {});
    socket.setTimeout(conversation.timeout * 1000, () => socket.destroy());
    this.#chunks = socket[Symbol.asyncIterator]();
  }

  async run(): Promise<Outcome> {
    try {
      return await this.#run();
    } catch (error) {
      if (!(error instanceof Dropped)) throw error;
      const duplicate = this.#critical ? "Possible duplicate! " : "";
      const text = `Connected to ${this.#host} but connection died. ${duplicate}(#4.4.2)\n`;
      return { recipients: this.#recipients, report: { status: "Z", text } };
    }
  }

  async #run(): Promise<Outcome> {
    const { helohost, sender, recipients } = this.#conversation;
    const greeting = await this.#reply();
    if (greeting.code !== 220)
      return this.#quit("Z", "Connected to ", " but greeting failed", greeting);
    let hello = await this.#command(`EHLO ${helohost}`);
    if (hello.code !== 250) hello = await this.#command(`HELO ${helohost}`);
    if (hello.code !== 250)
      return this.#quit("Z", "Connected to ", " but my name was rejected", hello);
    const mail = await this.#command(`MAIL FROM:<${quoteAddress(sender)}>`);
    const refused = severity(mail);
    if (refused) return this.#quit(refused, "Connected to ", " but sender was rejected", mail);
    for (const recipient of recipients) await this.#rcpt(recipient);
    if (this.#recipients.every(({ status }) => status !== "r")) {
      return this.#quit("D", "Giving up on ", "", null);
    }
    return this.#data();
  }

  async #rcpt(recipient: string): Promise<void> {
    const reply = await this.#command(`RCPT TO:<${quoteAddress(recipient)}>`);
    const refused = severity(reply);
    if (!refused) this.#recipients.push({ status: "r", text: "" });
    else {
      const text = `${this.#host} does not like recipient.\n${said(reply)}`;
      this.#recipients.push({ status: refused === "D" ? "h" : "s", text });
    }
  }

  async #data(): Promise<Outcome> {
    const go = await this.#command("DATA");
    const refused = severity(go);
    if (refused) return this.#quit(refused, "", " failed on DATA command", go);
    if (go.code !== 354) return this.#quit("Z", "", " failed on DATA command", go);
    const encoder = new BlastEncoder();
    for await (const chunk of this.#conversation.message.chunks()) {
      await this.#send(encoder.push(chunk));
    }
    const end = encoder.end();
    this.#critical = true;
    await this.#send(end);
    const reply = await this.#reply();
    this.#critical = false;
    const failed = severity(reply);
    if (failed) return this.#quit(failed, "", " failed after I sent the message", reply);
    return this.#quit("K", "", " accepted message", reply);
  }

  #quit(status: Report["status"], before: string, after: string, reply: Reply | null): Outcome {
    // Its answer would change nothing.
    this.#socket.end("QUIT\r\n");
    const text = `${before}${this.#host}${after}.\n${reply ? said(reply) : ""}`;
    return { recipients: this.#recipients, report: { status, text } };
  }

  async #command(line: string): Promise<Reply> {
    await this.#send(Buffer.from(`${line}\r\n`, "latin1"));
    return this.#reply();
  }

  async #send(bytes: Buffer): Promise<void> {
    if (this.#socket.destroyed) throw new Dropped();
    if (this.#socket.write(bytes)) return;
    await new Promise<void>((resolve, reject) => {
      const drained = () => {
        this.#socket.off("close", closed);
        resolve();
      };
      const closed = () => {
        this.#socket.off("drain", drained);
        reject(new Dropped());
      };
      this.#socket.once("drain", drained);
      this.#socket.once("close", closed);
    });
  }

  async #reply(): Promise<Reply> {
    let text = "";
    for (let read = 0; ; ) {
      const line = await this.#line();
      read += line.length;
      if (read > REPLY_MAX) throw new Dropped();
      if (text.length < REPLY_KEPT) text += `${line.slice(0, REPLY_KEPT)}\n`;
      if (line[3] !== "-") {
        const code = /^\d{3}/.test(line) ? Number(line.slice(0, 3)) : 0;
        return { code, text };
      }
    }
  }

  async #line(): Promise<string> {
    for (;;) {
      const end = this.#input.indexOf("\n");
      if (end >= 0) {
        const line = this.#input.slice(0, end).replaceAll("\r", "");
        this.#input = this.#input.slice(end + 1);
        return line;
      }
      if (this.#input.length > REPLY_MAX) throw new Dropped();
      this.#input += await this.#more();
    }
  }

  async #more(): Promise<string> {
    try {
      const { value, done } = await this.#chunks.next();
      if (done) throw new Dropped();
      return value.toString("latin1");
    } catch {
      throw new Dropped();
    }
  }
}

/** D for 5xx, Z for 4xx and for what is no reply at all, null for success. */
function severity({ code }: Reply): "D" | "Z" | null {
  if (code >= 500 && code < 600) return "D";
  return code >= 400 || code < 200 ? "Z" : null;
}

function said({ text }: Reply): string {
  return text === "" ? "" : `Remote host said: ${text.replaceAll("\0", "?")}`;
}
