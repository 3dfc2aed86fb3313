/** One message on its way from QMTP or QMQP into the queue, until something speaks against it. */

import { MessageIdWatch } from "../message-id.ts";
import { isAddress } from "../queue/envelope.ts";
import type { Qmail, QueueDoor } from "../queue/qmail.ts";
import { MAX_HOPS } from "../smtpd/blast.ts";
import type { Client } from "./client.ts";
import { HopCounter } from "./hops.ts";
import { receivedLine } from "./received.ts";
import * as replies from "./replies.ts";

/** A longer address is none (C qmail: the buffers of qmail-qmtpd.c). */
export const ADDRESS_MAX = 999;
/** Bytes of all recipients of a message: held until it is queued. 100,000 ordinary addresses fit. */
export const RECIPIENTS_MAX = 8 << 20;

const TOO_MANY_HOPS = "Dtoo many hops, this message is looping (#5.4.6)";

export interface Reception {
  readonly client: Client;
  readonly protocol: "QMTP" | "QMQP";
  /** Seconds since 1970. */
  readonly now: number;
  readonly queue: QueueDoor;
}

export class Incoming {
  readonly #now: number;
  /** Null as soon as it is clear that it will not be queued. */
  #qmail: Qmail | null;
  #refusal = "";
  #bytes = 0;
  readonly #hops = new HopCounter();
  readonly #msgid = new MessageIdWatch();

  constructor(reception: Reception) {
    this.#now = reception.now;
    this.#qmail = reception.queue.open();
    this.#qmail.put(Buffer.from(receivedLine(reception), "latin1"));
  }

  /** Bytes of the message so far, without what we added. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What its header says its Message-ID is, for the log. */
  get msgid(): string | null {
    return this.#msgid.id;
  }

  /** Adds to the message; resolves when more may come. */
  async put(bytes: Buffer): Promise<void> {
    this.#bytes += bytes.length;
    this.#hops.push(bytes);
    this.#msgid.push(bytes);
    this.#qmail?.put(bytes);
    if (this.#qmail?.full) await this.#qmail.drained();
  }

  /** The message will not be queued, for the reason `reply`, which begins with D or Z; of several the last counts. */
  refuse(reply: string): void {
    this.abort();
    this.#refusal = reply;
  }

  abort(): void {
    this.#qmail?.abort();
    this.#qmail = null;
  }

  /** Queues the message. Resolves with the reply: K, Z or D and words; and the number in the log. */
  async close(
    sender: string,
    recipients: readonly string[],
  ): Promise<{ readonly reply: string; readonly qp: number | null }> {
    if (this.#qmail && this.#hops.count >= MAX_HOPS) this.refuse(TOO_MANY_HOPS);
    if (!this.#qmail) return { reply: this.#refusal, qp: null };
    const result = await this.#qmail.close(sender, recipients);
    this.#qmail = null;
    if (result.ok) return { reply: replies.accepted(this.#now, result.qp), qp: result.qp };
    return { reply: replies.queueFailed(result.permanent, result.text), qp: null };
  }
}

/** An address as a byte string; null for one that is longer than `most` or has a control character in it. */
export function plainAddress(bytes: Buffer | null, most = ADDRESS_MAX): string | null {
  if (bytes === null || bytes.length > most) return null;
  const address = bytes.toString("latin1");
  return isAddress(address) ? address : null;
}
