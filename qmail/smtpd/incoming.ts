/** A message on its way in: from "354 go ahead", or the first BDAT, to the queue's answer. */

import { MessageIdWatch } from "../message-id.ts";
import type { Qmail, QueueResult } from "../queue/qmail.ts";
import { Blast, type BlastState, MAX_HOPS } from "./blast.ts";
import * as replies from "./replies.ts";
import type { HeaderRewriter } from "./rewriting.ts";

export interface Taken {
  readonly state: BlastState;
  /** What the client sent behind the end of the message. */
  readonly rest: Buffer;
}

export interface IncomingOptions {
  /** The limit, 0 for none. */
  readonly databytes: number;
  /** It comes by BDAT. */
  readonly chunked: boolean;
  /** For a message of a mail program; null for what comes from other hosts. */
  readonly rewriter: HeaderRewriter | null;
}

/** Refused already by us, or what the queue says. */
export type Outcome =
  | { readonly refused: string }
  | { readonly refused: null; readonly result: Promise<QueueResult> };

/** Decodes a message into the queue, and gives it up when it is too big or loops. */
export class Incoming {
  readonly #message: Qmail;
  readonly #options: IncomingOptions;
  readonly #blast: Blast;
  readonly #msgid = new MessageIdWatch();
  #refusal: string | null = null;
  /** Bytes as stored, without what is added at the top. */
  bytes = 0;

  constructor(message: Qmail, options: IncomingOptions) {
    this.#message = message;
    this.#options = options;
    this.#blast = new Blast(options);
  }

  get chunked(): boolean {
    return this.#options.chunked;
  }

  /** Why it is refused, known before its end; null: nothing speaks against it yet. */
  get refusal(): string | null {
    return this.#refusal;
  }

  /** What the header says the Message-ID is, for the log. */
  get msgid(): string | null {
    return this.#msgid.id;
  }

  /** True when the queue cannot take more for now. */
  get full(): boolean {
    return this.#refusal === null && this.#message.full;
  }

  drained(): Promise<void> {
    return this.#message.drained();
  }

  /** Bytes from the client, which are given away. */
  take(chunk: Buffer): Taken {
    const { state, data, rest } = this.#blast.push(chunk);
    this.#store(data);
    // In a chunk the end of the data is certain, so the session can go on.
    if (state === "stray-newline" && this.chunked) this.refuse(replies.strayInChunk());
    return { state, rest };
  }

  /** The end has come: queues the message. */
  finish(sender: string, recipients: readonly string[]): Outcome {
    if (this.chunked) {
      const { state, data } = this.#blast.last();
      if (state === "stray-newline") this.refuse(replies.strayInChunk());
      this.#store(data);
    }
    if (this.#refusal !== null) return { refused: this.#refusal };
    const { rewriter } = this.#options;
    if (rewriter) this.#rewritten(rewriter, rewriter.end());
    if (this.#refusal !== null) return { refused: this.#refusal };
    return { refused: null, result: this.#message.close(sender, recipients) };
  }

  abort(): void {
    if (this.#refusal === null) this.#message.abort();
  }

  /** What is known to be refused need not be stored; its end must still be found. */
  refuse(reply: string): void {
    if (this.#refusal !== null) return;
    this.#message.abort();
    this.#refusal = reply;
  }

  #store(data: Buffer): void {
    const { databytes, rewriter } = this.#options;
    this.bytes += data.length;
    if (this.#blast.hops >= MAX_HOPS) this.refuse(replies.tooManyHops());
    else if (databytes > 0 && this.bytes > databytes) this.refuse(replies.tooBig());
    if (this.#refusal !== null || data.length === 0) return;
    if (rewriter) this.#rewritten(rewriter, rewriter.push(data));
    else this.#put(data);
  }

  #rewritten(rewriter: HeaderRewriter, data: Buffer): void {
    if (rewriter.refusal !== null) this.refuse(replies.badHeader(rewriter.refusal));
    else this.#put(data);
  }

  #put(data: Buffer): void {
    if (data.length === 0) return;
    this.#msgid.push(data);
    this.#message.put(data);
  }
}
