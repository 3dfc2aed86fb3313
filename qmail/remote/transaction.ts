/** One message on its way over an open SMTP connection (RFC 5321 section 3.3, RFC 2920; C qmail: qmail-remote.c, smtp). */

import { quoteAddress } from "../quote.ts";
import type { Message } from "../spawn/message.ts";
import type { Report } from "../spawn/report.ts";
import { BlastEncoder } from "./blast.ts";
import { type Reply, severity } from "./reply.ts";
import { DroppedError, GO_AHEAD, GOODBYE, type SmtpSocket, type Trace } from "./smtp-socket.ts";
import type { Outcome, RecipientOutcome } from "./words.ts";
import * as words from "./words.ts";

/** A message, and from whom to whom it goes. */
export interface Transfer {
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly message: Message;
  /** What is done with a message of 8-bit text when the server has no 8BITMIME: qmail sends it. */
  readonly eightBit: "send" | "refuse";
}

/** What is known of an open connection. */
interface Link {
  readonly ip: string;
  readonly extensions: ReadonlyMap<string, string>;
  readonly tls: string | null;
  readonly trace: Trace | undefined;
}

/** One message on its way over an open connection. */
export class Transaction {
  readonly #smtp: SmtpSocket;
  readonly #ip: string;
  readonly #extensions: ReadonlyMap<string, string>;
  readonly #link: Link;
  readonly #recipients: RecipientOutcome[] = [];
  #answered = false;
  /** The server wants the message: what was asked before has its answers. */
  #wanted = false;
  #sent = false;
  #critical = false;

  constructor(smtp: SmtpSocket, link: Link) {
    this.#smtp = smtp;
    this.#ip = link.ip;
    this.#extensions = link.extensions;
    this.#link = link;
  }

  /** The whole message is sent but not answered: it may have arrived. */
  get critical(): boolean {
    return this.#critical;
  }

  /** Hands the message over. Rejects never. */
  async run(transfer: Transfer): Promise<Outcome> {
    try {
      const unable = await this.#unable(transfer);
      if (unable) return words.outcome(unable);
      const outcome = words.outcome(await this.#run(transfer), this.#recipients);
      if (!(await this.#inPlace(outcome))) return this.#surprised();
      return this.#answered ? outcome : { ...outcome, untouched: true };
    } catch (error) {
      if (!(error instanceof DroppedError)) throw error;
      const outcome = this.#smtp.surprised
        ? this.#surprised()
        : words.outcome(this.#dropped(), this.#recipients);
      return this.#answered ? outcome : { ...outcome, untouched: true };
    }
  }

  #dropped(): Report {
    return words.dropped(this.#ip, this.#critical, this.#smtp.lastWords);
  }

  /** Nobody knows what the server has refused and what not. */
  #surprised(): Outcome {
    return words.outcome(words.surprised(this.#ip, this.#sent));
  }

  /**
   * False when the server has said more than it was asked, so that an answer may be another's. Refusals are for good,
   * so before they count the server is asked for one answer more: an answer too many turns up there at last.
   */
  async #inPlace({ report, recipients }: Outcome): Promise<boolean> {
    const { surplus } = this.#smtp;
    if (report.status === "K") return surplus === null || severity(surplus) === null;
    if (this.#smtp.surprised) return false;
    const refused = report.status === "D" || recipients.some(({ status }) => status === "h");
    const decided = report.status !== "D" && this.#wanted;
    return !refused || decided || this.#smtp.farewell();
  }

  /** What the message needs and the server has not. */
  async #unable({ sender, recipients, message, eightBit }: Transfer): Promise<Report | null> {
    const limit = Number(this.#extensions.get("SIZE") || 0);
    if (limit > 0 && message.size > limit) {
      const what = `takes no message larger than ${limit} bytes, and this has ${message.size}`;
      return words.lacks(this.#ip, what, "5.3.4");
    }
    if (!isAscii(sender) || recipients.every((recipient) => !isAscii(recipient))) {
      if (!this.#extensions.has("SMTPUTF8")) return words.noUtf8(this.#ip);
    }
    if (this.#extensions.has("8BITMIME") || eightBit === "send") return null;
    try {
      if (!(await hasEightBit(message))) return null;
    } catch {
      return words.CANNOT_READ;
    }
    return words.lacks(this.#ip, "takes no 8-bit text (no 8BITMIME)", "5.6.3");
  }

  async #run(transfer: Transfer): Promise<Report> {
    const { recipients } = transfer;
    const rcpts = recipients.map((recipient) =>
      this.#canSay(recipient) ? `RCPT TO:<${quoteAddress(recipient)}>` : null,
    );
    const commands = [this.#mail(transfer), ...rcpts.filter((rcpt) => rcpt !== null), "DATA"];
    const together = this.#extensions.has("PIPELINING");
    if (together) await this.#smtp.together(commands);
    const next = async (command: string) => {
      const reply = await (together ? this.#smtp.reply() : this.#smtp.command(command));
      if (reply.code !== GO_AHEAD || command === "DATA") return reply;
      // That is what another command is answered.
      return this.#outOfStep(reply);
    };
    const from = await next(commands[0] as string);
    // A server that goes has not looked at the message.
    this.#answered = from.code !== GOODBYE;
    const refused = severity(from);
    if (refused) {
      if (together) await this.#skip(commands.length - 1);
      return words.said(refused, ["Connected to ", this.#ip, " but sender was rejected"], from);
    }
    for (const rcpt of rcpts) {
      if (rcpt !== null) this.#rcpt(await next(rcpt));
      else this.#recipients.push({ status: "h", text: words.noUtf8(this.#ip).text });
    }
    if (this.#recipients.every(({ status }) => status !== "r")) {
      if (together) await this.#skip(1);
      return words.said("D", ["Giving up on ", this.#ip, ""], null);
    }
    const go = await next("DATA");
    const failed = " failed on DATA command";
    if (go.code >= 200 && go.code < 400 && go.code !== GO_AHEAD) {
      return words.outOfPlace(this.#ip, failed, go);
    }
    if (go.code !== GO_AHEAD) return this.#said(severity(go) ?? "Z", failed, go);
    this.#wanted = true;
    return this.#data(transfer.message);
  }

  #mail({ sender, recipients, message }: Transfer): string {
    let command = `MAIL FROM:<${quoteAddress(sender)}>`;
    if (this.#extensions.has("SIZE")) command += ` SIZE=${message.size}`;
    if (this.#extensions.has("8BITMIME")) command += " BODY=8BITMIME";
    if (![sender, ...recipients].every(isAscii) && this.#extensions.has("SMTPUTF8")) {
      command += " SMTPUTF8";
    }
    return command;
  }

  #canSay(recipient: string): boolean {
    return isAscii(recipient) || this.#extensions.has("SMTPUTF8");
  }

  #rcpt(reply: Reply): void {
    const refused = severity(reply);
    if (!refused) this.#recipients.push({ status: "r", text: "" });
    else {
      const status = refused === "D" ? "h" : "s";
      this.#recipients.push(words.recipientRefused(this.#ip, status, reply));
    }
  }

  /** Answers to commands that were sent together with one that failed; from a server that goes there is none to come. */
  async #skip(count: number): Promise<void> {
    try {
      await this.#skipAnswers(count);
    } catch (error) {
      if (!(error instanceof DroppedError) || this.#smtp.surprised) throw error;
    }
  }

  async #skipAnswers(count: number): Promise<void> {
    for (let left = count; left > 0; left--) {
      const { code } = await this.#smtp.reply();
      // The server takes DATA without a recipient: there must be an end of it (RFC 2920 section 3.1).
      if (code !== GO_AHEAD) continue;
      await this.#smtp.send(Buffer.from(".\r\n"));
      await this.#smtp.reply();
    }
  }

  async #data(message: Message): Promise<Report> {
    this.#link.trace?.("*", `the message, ${message.size} bytes, and a dot`);
    try {
      if (!(await this.#send(message))) return await this.#early();
    } catch (error) {
      if (!(error instanceof DroppedError)) {
        // Without its end the server throws the message away.
        this.#smtp.destroy();
        return words.CANNOT_READ;
      }
      // It may have said why before it hung up: then that is known here already.
      if (!this.#sent) return this.#early();
    }
    const reply = await this.#smtp.reply();
    // That is said of the message before it is sent.
    if (reply.code === GO_AHEAD) return this.#outOfStep(reply);
    this.#critical = false;
    const failed = severity(reply);
    if (failed) return this.#said(failed, " failed after I sent the message", reply);
    const report = this.#said("K", " accepted message", reply);
    const { tls } = this.#link;
    return tls === null ? report : { ...report, text: `${report.text}TLS: ${tls}\n` };
  }

  /** True when all is sent; false when the server has answered before, which ends it. */
  async #send(message: Message): Promise<boolean> {
    const encoder = new BlastEncoder();
    // A piece behind, so that the end leaves with the last one: a short message is one write.
    let piece: Buffer = Buffer.alloc(0);
    for await (const chunk of message.chunks()) {
      if (piece.length > 0) await this.#smtp.send(piece);
      if (this.#smtp.answered) return false;
      piece = encoder.push(chunk);
    }
    if (this.#smtp.answered) return false;
    this.#sent = true;
    this.#critical = true;
    await this.#smtp.send(Buffer.concat([piece, encoder.end()]));
    return true;
  }

  /** An answer before the message has its end: a refusal when the server goes, else nobody knows of what. */
  async #early(): Promise<Report> {
    const reply = await this.#smtp.reply();
    const failed = severity(reply);
    if (failed && reply.code !== GO_AHEAD && (await this.#smtp.hangsUp())) {
      return this.#said(failed, " failed after I sent the message", reply);
    }
    return this.#outOfStep(reply);
  }

  /** `reply` answers something else than what was said last. */
  #outOfStep(reply: Reply): never {
    this.#smtp.surprise(reply);
    throw new DroppedError();
  }

  #said(status: Report["status"], after: string, reply: Reply): Report {
    return words.said(status, ["", this.#ip, after], reply);
  }
}

/** False for an address that only SMTPUTF8 can carry (RFC 6531). */
function isAscii(address: string): boolean {
  return /^[\0-\x7f]*$/.test(address);
}

async function hasEightBit(message: Message): Promise<boolean> {
  for await (const chunk of message.chunks()) {
    if (chunk.some((byte) => byte > 0x7f)) return true;
  }
  return false;
}
