/** The client's side of one QMTP conversation that hands over one message (https://cr.yp.to/proto/qmtp.txt). */

import type { Socket } from "node:net";
import { ByteReader } from "../net/byte-reader.ts";
import { formatNetstring, readNetstring } from "../net/netstring.ts";
import type { MailSession } from "./session.ts";
import type { Transfer } from "./transaction.ts";
import type { Outcome, RecipientOutcome } from "./words.ts";
import * as words from "./words.ts";

export const QMTP_PORT = 209;

/** Bytes of the longest answer that is read. */
const ANSWER_MAX = 5000;
/** The first byte of the message: its lines end in LF. */
const ENCODING = "\n";

/** A connection that carries one message. */
export class QmtpSession implements MailSession {
  readonly #socket: Socket;
  readonly #ip: string;
  readonly #total: number;
  readonly reusable = false;
  #count = 0;
  /** All is sent: the message may have arrived. */
  #sent = false;

  /**
   * Milliseconds: `timeout` without a byte after which the server is given up, `total` for the message with
   * its answer; one more for each byte.
   */
  constructor(
    socket: Socket,
    { timeout, total }: { readonly timeout: number; readonly total: number },
  ) {
    this.#socket = socket;
    this.#total = total;
    this.#ip = socket.remoteAddress ?? "";
    socket.on("error", () => {});
    socket.setTimeout(timeout, () => socket.destroy());
  }

  get count(): number {
    return this.#count;
  }

  async transfer(transfer: Transfer): Promise<Outcome> {
    this.#count++;
    const socket = this.#socket;
    const answers: string[] = [];
    const timer = setTimeout(() => socket.destroy(), this.#total + transfer.message.size);
    try {
      const input = new ByteReader(socket);
      for await (const piece of request(transfer)) {
        // Nothing is asked yet; and without its end the server throws the message away.
        if (socket.readableLength > 0) return this.#surprised();
        await send(socket, piece);
      }
      this.#sent = true;
      for (const _ of transfer.recipients) {
        answers.push((await readNetstring(input, ANSWER_MAX)).toString("latin1"));
      }
      if (input.pending || socket.readableLength > 0) return this.#surprised();
    } catch {
      if (!socket.destroyed && !this.#sent) return words.outcome(words.CANNOT_READ);
      // The server may have queued it before we lost each other.
      return words.outcome(words.dropped(this.#ip, this.#sent));
    } finally {
      clearTimeout(timer);
      socket.destroy();
    }
    return outcome(this.#ip, answers);
  }

  #surprised(): Outcome {
    return words.outcome(words.surprised(this.#ip, this.#sent));
  }

  abandon(): boolean {
    if (this.#sent) return false;
    this.#socket.destroy();
    return true;
  }

  close(): void {
    this.#socket.destroy();
  }
}

async function* request({
  sender,
  recipients,
  message,
}: Pick<Transfer, "sender" | "recipients" | "message">): AsyncGenerator<Buffer> {
  yield Buffer.from(`${ENCODING.length + message.size}:${ENCODING}`);
  yield* message.chunks();
  yield Buffer.concat([
    Buffer.from(","),
    formatNetstring(sender),
    formatNetstring(Buffer.concat(recipients.map((recipient) => formatNetstring(recipient)))),
  ]);
}

function send(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}

function outcome(ip: string, answers: readonly string[]): Outcome {
  const recipients = answers.map((answer) => recipientOutcome(ip, answer));
  const taken = answers.find((answer) => answer.startsWith("K"));
  const report =
    taken === undefined
      ? words.said("D", ["Giving up on ", ip, ""], null)
      : words.said("K", ["", ip, " accepted message"], textOf(taken));
  return words.outcome(report, recipients);
}

/** What is neither K nor D is no verdict: to be tried again. */
function recipientOutcome(ip: string, answer: string): RecipientOutcome {
  if (answer.startsWith("K")) return { status: "r", text: "" };
  return words.recipientRefused(ip, answer.startsWith("D") ? "h" : "s", textOf(answer));
}

function textOf(answer: string): { text: string } {
  return { text: `${answer.slice(1)}\n` };
}
