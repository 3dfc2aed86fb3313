/** A message put in over a link to the queue server: the network daemons' and qmail-send's way. */

import { QQ } from "../exit.ts";
import type { Link } from "../net/link.ts";
import { formatEnvelope } from "./envelope.ts";
import { ENVELOPE_MAX, FRAME, PIECE, type Result } from "./protocol.ts";
import { type Qmail, type QueueResult, queueFailure } from "./qmail.ts";

/** The messages under way on one link. The owner of the link hands in its result frames and its end. */
export class QueueLink {
  readonly #link: Link;
  readonly #waiting = new Map<number, (result: QueueResult) => void>();
  #lastId = 0;

  constructor(link: Link) {
    this.#link = link;
  }

  open(): Qmail {
    this.#lastId = this.#lastId >= 0x7fffffff ? 1 : this.#lastId + 1;
    return new LinkQmail(this, this.#link, this.#lastId);
  }

  /** Resolves with what the server answers for message `id`. */
  result(id: number): Promise<QueueResult> {
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  /** The server has answered for message `id`. */
  answered(id: number, { code, qp, text }: Result): void {
    const resolve = this.#waiting.get(id);
    this.#waiting.delete(id);
    resolve?.(code === QQ.ok ? { ok: true, qp } : queueFailure(code, text));
  }

  /** The link has ended: nobody knows what became of the messages under way, so all are refused for now. */
  ended(): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const resolve of waiting) resolve(queueFailure(QQ.network));
  }
}

class LinkQmail implements Qmail {
  readonly #owner: QueueLink;
  readonly #link: Link;
  readonly #id: number;

  constructor(owner: QueueLink, link: Link, id: number) {
    this.#owner = owner;
    this.#link = link;
    this.#id = id;
  }

  get full(): boolean {
    return this.#link.full;
  }

  drained(): Promise<void> {
    return this.#link.drained();
  }

  put(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += PIECE) {
      this.#link.send(FRAME.put, this.#id, bytes.subarray(at, at + PIECE));
    }
  }

  close(sender: string, recipients: readonly string[]): Promise<QueueResult> {
    if (this.#link.closed) return Promise.resolve(queueFailure(QQ.network));
    const envelope = formatEnvelope({ sender, recipients });
    if (envelope.length > ENVELOPE_MAX) {
      this.abort();
      return Promise.resolve(queueFailure(QQ.noMemory));
    }
    const result = this.#owner.result(this.#id);
    let at = 0;
    for (; envelope.length - at > PIECE; at += PIECE) {
      this.#link.send(FRAME.envelope, this.#id, envelope.subarray(at, at + PIECE));
    }
    this.#link.send(FRAME.close, this.#id, envelope.subarray(at));
    return result;
  }

  abort(): void {
    this.#link.send(FRAME.abort, this.#id);
  }
}
