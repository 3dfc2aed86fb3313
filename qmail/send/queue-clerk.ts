/** qmail-send's side of the link to the queue server: what it removes for us and puts in for us. */

import type { Socket } from "node:net";
import { Link } from "../net/link.ts";
import { isMessId, type MessId } from "../queue/fmtqfn.ts";
import { programQueue } from "../queue/program-queue.ts";
import { FRAME, parseFresh } from "../queue/protocol.ts";
import type { Qmail } from "../queue/qmail.ts";
import { QueueLink } from "../queue/queue-link.ts";

export interface ClerkHandlers {
  /** A message has come into todo; `bytes` is its todo file, valid during the call. */
  fresh(id: MessId, size: number, bytes: Buffer): void;
  /** Messages have come into todo that were not announced. */
  scan(): void;
  gone(): void;
}

export type CleanType = typeof FRAME.cleanTodo | typeof FRAME.cleanMess | typeof FRAME.cleanAll;

export class QueueClerk {
  readonly #link: Link;
  readonly #queue: QueueLink;
  readonly #handlers: ClerkHandlers;
  readonly #cleaning = new Map<number, { id: MessId; resolve: (done: boolean) => void }>();
  readonly #removing = new Set<MessId>();
  #lastRequest = 0;
  #opened: (() => void) | null = null;

  constructor(socket: Socket, handlers: ClerkHandlers) {
    this.#handlers = handlers;
    this.#link = new Link(socket, {
      frame: (type, id, payload) => this.#frame(type, id, payload),
      close: () => this.#gone(),
    });
    this.#queue = new QueueLink(this.#link);
  }

  /** Has the doors opened; resolves when they are. Never, when the server dies over it. */
  open(): Promise<void> {
    return new Promise((resolve) => {
      this.#opened = resolve;
      this.#link.send(FRAME.open, 0);
    });
  }

  /** Has drop looked through for what a program left that died before it could ask. */
  takeDrops(): void {
    this.#link.send(FRAME.drops, 0);
  }

  /** A message of our own, a bounce; through the program that QMAILQUEUE names, when it does. */
  message(): Qmail {
    const program = process.env.QMAILQUEUE;
    return (program ? programQueue(program) : this.#queue).open();
  }

  /** Removes files of `id`. Resolves with false when something could not be removed. */
  clean(type: CleanType, id: MessId): Promise<boolean> {
    if (this.#link.closed) return Promise.resolve(false);
    const request = ++this.#lastRequest;
    if (this.#lastRequest >= 0x7fffffff) this.#lastRequest = 0;
    this.#removing.add(id);
    return new Promise((resolve) => {
      this.#cleaning.set(request, { id, resolve });
      this.#link.send(type, request, id);
    });
  }

  /**
   * True while files of `id` are being removed. Not a moment longer: the next frame may announce a
   * new message that got the same inode.
   */
  removing(id: MessId): boolean {
    return this.#removing.has(id);
  }

  end(): void {
    this.#link.end();
  }

  #frame(type: number, id: number, payload: Buffer): void {
    switch (type) {
      case FRAME.fresh: {
        const fresh = parseFresh(payload);
        // What is none would become a path.
        if (isMessId(fresh.id)) this.#handlers.fresh(fresh.id, fresh.size, fresh.todo);
        break;
      }
      case FRAME.scan:
        this.#handlers.scan();
        break;
      case FRAME.result:
        this.#queue.answered(id, payload);
        break;
      case FRAME.cleaned:
        this.#cleaned(id, payload.toString("latin1") === "+");
        break;
      case FRAME.opened:
        this.#opened?.();
        break;
    }
  }

  #cleaned(request: number, done: boolean): void {
    const cleaning = this.#cleaning.get(request);
    if (!cleaning) return;
    this.#cleaning.delete(request);
    this.#removing.delete(cleaning.id);
    cleaning.resolve(done);
  }

  #gone(): void {
    this.#queue.ended();
    for (const request of [...this.#cleaning.keys()]) this.#cleaned(request, false);
    this.#handlers.gone();
  }
}
