/**
 * One QMTP session, of any number of messages (https://cr.yp.to/proto/qmtp.txt, qmail-qmtpd(8)): each
 * is three netstrings, the message, the sender, and a netstring of the recipients' netstrings; each
 * recipient gets a netstring back, in which K, Z or D comes first.
 */

import { type ByteReader, inPieces } from "../net/byte-reader.ts";
import {
  formatNetstring,
  LENGTH_MAX,
  NetstringError,
  parseNetstrings,
  readComma,
  readLength,
  readNetstring,
  readShortNetstring,
} from "../net/netstring.ts";
import { ADDRESS_MAX, Incoming, plainAddress, RECIPIENTS_MAX } from "./incoming.ts";
import { CrlfDecoder } from "./line-endings.ts";
import * as log from "./log.ts";
import * as replies from "./replies.ts";
import type { Session, SessionContext } from "./service.ts";

const LF = 10;
const CR = 13;
/** Answers are written in pieces of about this size. */
const ANSWERS_BYTES = 16_384;

/** What qmtpd needs to know beside what every session does. */
export interface QmtpContext extends SessionContext {
  /** Bytes of the largest message, 0 for no limit. */
  readonly databytes: number;
  /** Recipients of a message, 0 for no limit; the rest must come in another. */
  readonly maxRcpt: number;
  /** Set: any recipient is taken, with this behind it. */
  readonly relayclient: string | null;
  /** True when mail for `recipient` is taken from anybody. Throws when that cannot be known now. */
  allows(recipient: string): boolean;
}

interface Recipients {
  readonly taken: readonly string[];
  /** For each in order its refusal, or null when it shares the fate of the message. */
  readonly refusals: readonly (string | null)[];
}

export class QmtpSession implements Session {
  readonly #context: QmtpContext;
  #receiving = false;
  #stopping = false;

  constructor(context: QmtpContext) {
    this.#context = context;
  }

  get receiving(): boolean {
    return this.#receiving;
  }

  stop(): void {
    this.#stopping = true;
  }

  async run(input: ByteReader): Promise<void> {
    while (!this.#stopping && !(await input.ended())) {
      this.#receiving = true;
      await this.#message(input);
      this.#receiving = false;
    }
  }

  async #message(input: ByteReader): Promise<void> {
    const { client, now, queue, hasRoom } = this.#context;
    const length = await readLength(input, LENGTH_MAX);
    if (length === 0) throw new NetstringError("protocol", "a message without an encoding");
    const incoming = new Incoming({ client, protocol: "QMTP", now: now(), queue });
    try {
      if (!hasRoom(length)) incoming.refuse(replies.noRoom());
      await this.#text(input, { length, incoming });
      const sender = plainAddress(await readShortNetstring(input, ADDRESS_MAX));
      const recipients = await this.#recipients(input);
      if (recipients.taken.length === 0) incoming.abort();
      if (sender === null) incoming.refuse(replies.badSender());
      if (this.#isTooBig(incoming.bytes)) incoming.refuse(replies.tooBig());
      await this.#finish(incoming, { sender: sender ?? "", ...recipients });
    } finally {
      incoming.abort();
    }
  }

  /** The first byte says which line endings follow: LF, or CR for CR LF. */
  async #text(
    input: ByteReader,
    { length, incoming }: { length: number; incoming: Incoming },
  ): Promise<void> {
    const encoding = await input.byte();
    if (encoding !== LF && encoding !== CR) {
      throw new NetstringError("protocol", "an unknown encoding");
    }
    const decoder = encoding === CR ? new CrlfDecoder() : null;
    for await (const piece of inPieces(input, length - 1)) {
      await incoming.put(decoder ? decoder.push(piece) : piece);
      // The rest is only counted.
      if (this.#isTooBig(incoming.bytes)) incoming.abort();
    }
    if (decoder) await incoming.put(decoder.end());
    await readComma(input);
  }

  #isTooBig(bytes: number): boolean {
    const { databytes } = this.#context;
    return databytes > 0 && bytes > databytes;
  }

  async #recipients(input: ByteReader): Promise<Recipients> {
    const { relayclient, maxRcpt } = this.#context;
    const all = parseNetstrings(await readNetstring(input, RECIPIENTS_MAX));
    const taken: string[] = [];
    const refusals = all.map((bytes) => {
      const recipient = this.#recipient(bytes);
      if ("refusal" in recipient) return recipient.refusal;
      if (maxRcpt > 0 && taken.length >= maxRcpt) return replies.tooManyRecipients();
      taken.push(recipient.address + (relayclient ?? ""));
      return null;
    });
    return { taken, refusals };
  }

  #recipient(bytes: Buffer): { readonly address: string } | { readonly refusal: string } {
    const { relayclient, allows } = this.#context;
    const most = ADDRESS_MAX - (relayclient?.length ?? 0);
    if (bytes.length > most) return { refusal: replies.badRecipient() };
    try {
      if (relayclient === null && !allows(bytes.toString("latin1")))
        return { refusal: replies.noGateway() };
    } catch {
      return { refusal: replies.noControls() };
    }
    const address = plainAddress(bytes, most);
    return address === null ? { refusal: replies.badRecipient() } : { address };
  }

  async #finish(
    incoming: Incoming,
    { sender, taken, refusals }: Recipients & { readonly sender: string },
  ): Promise<void> {
    const { id, client, write } = this.#context;
    const { reply, qp } = await incoming.close(sender, taken);
    const what = { ip: client.ip, from: sender, bytes: incoming.bytes };
    if (qp !== null) {
      const { msgid } = incoming;
      this.#context.log(log.accepted(id, { ...what, rcpts: taken.length, qp, msgid }));
    }
    const refusal = qp === null && taken.length > 0 ? reply : refusals.find((each) => each);
    if (refusal) this.#context.log(log.refused(id, { ...what, reply: refusal }));
    let answers: Buffer[] = [];
    let size = 0;
    for (const each of refusals) {
      const answer = formatNetstring(each ?? reply);
      answers.push(answer);
      size += answer.length;
      if (size < ANSWERS_BYTES) continue;
      await write(Buffer.concat(answers));
      [answers, size] = [[], 0];
    }
    await write(Buffer.concat(answers));
  }
}
