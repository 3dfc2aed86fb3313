/** The messages of one session: from DATA or the first BDAT to the queue's answer. */

import type { Qmail } from "../queue/qmail.ts";
import { Incoming } from "./incoming.ts";
import type { Input } from "./input.ts";
import * as log from "./log.ts";
import { receivedLine } from "./received.ts";
import * as replies from "./replies.ts";
import type { Credentials, SessionContext } from "./session-context.ts";
import type { Transaction } from "./transaction.ts";

/** What the client has said of itself, and proved. */
export interface MailClient extends Credentials {
  /** Null: no HELO and no EHLO. */
  readonly helo: string | null;
  readonly esmtp: boolean;
}

/** The session as far as its messages need it. */
export interface MailSession {
  readonly input: Input;
  readonly transaction: Transaction;
  client(): MailClient;
  who(): log.LogPeer;
  reply(text: string): void;
  /** A message is in the queue. */
  accepted(): void;
  /** What the session is to do next. False: it is over. */
  enter(state: "commands" | "data" | "chunk" | "waiting"): boolean;
  end(why: log.End): void;
  /** To go on after waiting. */
  go(): void;
}

interface Chunk {
  /** Bytes still to come. */
  left: number;
  readonly bytes: number;
  readonly last: boolean;
  /** Not null: it is thrown away, and this is why. */
  readonly refusal: string | null;
}

export class MailData {
  readonly #context: SessionContext;
  readonly #session: MailSession;
  #incoming: Incoming | null = null;
  /** The chunk that is coming in. */
  #chunk: Chunk = { left: 0, bytes: 0, last: false, refusal: null };
  /** So many messages have been queued. */
  queued = 0;

  constructor(context: SessionContext, session: MailSession) {
    this.#context = context;
    this.#session = session;
  }

  /** True while a message is coming in, between its chunks as well. */
  get underWay(): boolean {
    return this.#incoming !== null;
  }

  /** Gives up a message of which more chunks were to come. */
  reset(): void {
    if (this.#incoming?.chunked) this.abort();
  }

  abort(): void {
    this.#incoming?.abort();
    this.#incoming = null;
  }

  /** The reply to DATA. */
  startData(): string {
    const refusal = this.#notReady();
    if (refusal !== null) return refusal;
    this.#incoming = this.#openMessage(false);
    if (!this.#incoming) return replies.queueNotOpen();
    this.#session.enter("data");
    return replies.goAhead();
  }

  #notReady(): string | null {
    if (this.#session.transaction.sender === null) return replies.wantMail();
    return this.#session.transaction.recipients.length === 0 ? replies.wantRcpt() : null;
  }

  /** `BDAT bytes [LAST]` (RFC 3030): its bytes follow at once, so they are read whatever we say. */
  startChunk(argument: string): string {
    const [, size, last] = /^(\d{1,15})(?: +(LAST))? *$/i.exec(argument) ?? [];
    if (size === undefined) return replies.syntax();
    const bytes = Number(size);
    let refusal = this.#incoming ? null : this.#notReady();
    if (!this.#incoming && refusal === null) {
      this.#incoming = this.#openMessage(true);
      if (!this.#incoming) refusal = replies.queueNotOpen();
    }
    this.#chunk = { left: bytes, bytes, last: last !== undefined, refusal };
    this.#session.enter("chunk");
    return "";
  }

  /** Takes what is there of a chunk; false when nothing is. */
  chunkData(): boolean {
    const chunk = this.#chunk;
    if (this.#session.input.length === 0 && chunk.left > 0) return false;
    const incoming = chunk.refusal === null ? this.#incoming : null;
    const piece = this.#session.input.take(chunk.left);
    chunk.left -= piece.length;
    if (piece.length > 0) incoming?.take(piece);
    if (chunk.left === 0) this.#endChunk(chunk, incoming);
    else if (incoming?.full) void this.#drain(incoming, "chunk");
    return true;
  }

  #endChunk({ bytes, last, refusal }: Chunk, incoming: Incoming | null): void {
    this.#session.enter("commands");
    if (!incoming) this.#session.reply(refusal ?? "");
    else if (last) this.#finish(incoming);
    else if (incoming.refusal === null) this.#session.reply(replies.chunkTaken(bytes));
    else {
      // The chunks that still come find no transaction, and are thrown away.
      this.#refuse(this.#sent(incoming), incoming.refusal);
      this.#incoming = null;
      this.#session.transaction.reset();
    }
  }

  #openMessage(chunked: boolean): Incoming | null {
    const { controls, rewriting } = this.#context;
    const message = this.#openQueue();
    if (!message) return null;
    message.put(Buffer.from(this.#received(), "latin1"));
    return new Incoming(message, {
      databytes: controls.databytes,
      chunked,
      rewriter: rewriting?.header() ?? null,
    });
  }

  #openQueue(): Qmail | null {
    try {
      const { user, tls } = this.#session.client();
      return this.#context.queue({ user, tls }).open();
    } catch (error) {
      this.#context.log(log.warning(`cannot put a message in: ${(error as Error).message}`));
      this.#session.transaction.reset();
      return null;
    }
  }

  #received(): string {
    const { peer, local, now } = this.#context;
    const { user, helo, esmtp, tls } = this.#session.client();
    return receivedLine({
      peer: { ...peer, info: user ?? peer.info },
      helo,
      esmtp,
      tls,
      authenticated: user !== null,
      by: local,
      now: Math.floor(now() / 1000),
    });
  }

  /** Takes what is there of the message. */
  data(): boolean {
    const incoming = this.#incoming as Incoming;
    const { state, rest } = incoming.take(this.#session.input.take());
    this.#session.input.restore(rest);
    if (state === "end") this.#finish(incoming);
    else if (state === "stray-newline") {
      this.#session.reply(replies.strayNewline());
      this.#session.end("stray-newline");
    } else if (incoming.full) void this.#drain(incoming, "data");
    return true;
  }

  async #drain(incoming: Incoming, state: "data" | "chunk"): Promise<void> {
    this.#session.enter("waiting");
    await incoming.drained();
    if (this.#session.enter(state)) this.#session.go();
  }

  /** The message is whole. */
  #finish(incoming: Incoming): void {
    const sent = this.#sent(incoming);
    this.#incoming = null;
    this.#session.transaction.reset();
    const outcome = incoming.finish(sent.from, sent.to);
    this.#session.enter("commands");
    if (outcome.refused !== null) this.#refuse(sent, outcome.refused);
    else void this.#settle(sent, incoming.msgid, outcome.result);
  }

  #sent({ bytes }: Incoming): log.LogMessage {
    const { sender, recipients } = this.#session.transaction;
    return { from: sender ?? "", to: recipients, bytes };
  }

  async #settle(
    sent: log.LogMessage,
    msgid: string | null,
    asked: ReturnType<Qmail["close"]>,
  ): Promise<void> {
    this.#session.enter("waiting");
    const result = await asked;
    this.#session.enter("commands");
    if (result.ok) {
      const { qp } = result;
      const { log: write, now } = this.#context;
      this.queued++;
      this.#session.accepted();
      const { helo } = this.#session.client();
      write(log.accepted(this.#session.who(), { ...sent, helo, qp, msgid }));
      this.#session.reply(replies.accepted(Math.floor(now() / 1000), qp));
    } else this.#refuse(sent, replies.queueFailed(result.permanent, result.text));
    this.#session.go();
  }

  #refuse(sent: log.LogMessage, reply: string): void {
    this.#context.log(log.refusedMessage(this.#session.who(), { ...sent, reply }));
    this.#session.reply(reply);
  }
}
