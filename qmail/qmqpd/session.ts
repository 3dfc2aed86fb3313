/**
 * One QMQP session, which is one message (https://cr.yp.to/proto/qmqp.html, qmail-qmqpd(8)): a
 * netstring of netstrings, the message, the sender, and every recipient; one netstring comes back, in
 * which K, Z or D comes first. Whoever may connect may send to anybody.
 */

import { type ByteReader, exactly, inPieces } from "../net/byte-reader.ts";
import {
  formatNetstring,
  Inside,
  LENGTH_MAX,
  NetstringError,
  parseNetstrings,
  readComma,
  readLength,
} from "../net/netstring.ts";
import { Incoming, plainAddress, RECIPIENTS_MAX } from "../qmtpd/incoming.ts";
import * as log from "../qmtpd/log.ts";
import * as replies from "../qmtpd/replies.ts";
import type { Session, SessionContext } from "../qmtpd/service.ts";

interface Envelope {
  readonly sender: string;
  readonly recipients: readonly string[];
}

/** What qmqpd needs to know beside what every session does. */
export interface QmqpContext extends SessionContext {
  /** Bytes of the largest message, 0 for no limit. */
  readonly databytes: number;
  /** Recipients of a message, 0 for no limit. */
  readonly maxRcpt: number;
}

export class QmqpSession implements Session {
  readonly #context: QmqpContext;
  #receiving = false;

  constructor(context: QmqpContext) {
    this.#context = context;
  }

  get receiving(): boolean {
    return this.#receiving;
  }

  /** The one message that there is may still come in. */
  stop(): void {}

  async run(input: ByteReader): Promise<void> {
    if (await input.ended()) return;
    this.#receiving = true;
    const { client, now, queue, hasRoom } = this.#context;
    const inside = new Inside(input, await readLength(input, LENGTH_MAX));
    const length = await readLength(inside, LENGTH_MAX);
    const incoming = new Incoming({ client, protocol: "QMQP", now: now(), queue });
    try {
      if (!hasRoom(length)) incoming.refuse(replies.noRoom());
      if (this.#isTooBig(length)) incoming.refuse(replies.tooBig());
      for await (const piece of inPieces(inside, length)) await incoming.put(piece);
      await readComma(inside);
      const envelope = await readEnvelope(inside);
      await readComma(input);
      if (envelope === null) incoming.refuse(replies.badAddress());
      else if (this.#isTooMany(envelope)) incoming.refuse(replies.tooManyRecipientsForGood());
      await this.#finish(incoming, envelope ?? { sender: "", recipients: [] });
    } finally {
      incoming.abort();
      this.#receiving = false;
    }
  }

  #isTooBig(bytes: number): boolean {
    const { databytes } = this.#context;
    return databytes > 0 && bytes > databytes;
  }

  #isTooMany({ recipients }: Envelope): boolean {
    const { maxRcpt } = this.#context;
    return maxRcpt > 0 && recipients.length > maxRcpt;
  }

  async #finish(incoming: Incoming, { sender, recipients }: Envelope): Promise<void> {
    const { id, client, write } = this.#context;
    const { reply, qp } = await incoming.close(sender, recipients);
    const what = { ip: client.ip, from: sender, bytes: incoming.bytes };
    this.#context.log(
      qp === null
        ? log.refused(id, { ...what, reply })
        : log.accepted(id, { ...what, rcpts: recipients.length, qp, msgid: incoming.msgid }),
    );
    await write(formatNetstring(reply));
  }
}

/** Null when an address is none. */
async function readEnvelope(inside: Inside): Promise<Envelope | null> {
  if (inside.left > RECIPIENTS_MAX) throw new NetstringError("resources", "too many recipients");
  const addresses = parseNetstrings(await exactly(inside, inside.left)).map((bytes) =>
    plainAddress(bytes),
  );
  const [sender, ...recipients] = addresses;
  if (sender === undefined) throw new NetstringError("protocol", "no sender");
  if (addresses.includes(null)) return null;
  return { sender: sender as string, recipients: recipients as string[] };
}
