/** qmail-send's side of the link to the queue server: what it removes for us and puts in for us. */

import type { Socket } from "node:net";
import { heard } from "../net/frames.ts";
import { Link } from "../net/link.ts";
import { programQueue } from "../queue/program-queue.ts";
import { FRAME, type Fresh, formatName, type MessageName, TO_SEND } from "../queue/protocol.ts";
import type { Qmail } from "../queue/qmail.ts";
import { QueueLink } from "../queue/queue-link.ts";
import type { CleanType } from "../queue/removal.ts";

export interface ClerkHandlers {
  /** A message has come into todo; its todo bytes are valid during the call. */
  fresh(message: Fresh): void;
  /** Messages have come into todo that were not announced. */
  scan(): void;
  /** Whether the message, which has lost its name in todo again, is one that we know of. */
  known(message: MessageName): boolean;
  gone(): void;
}

export class QueueClerk {
  readonly #link: Link;
  readonly #queue: QueueLink;
  readonly #handlers: ClerkHandlers;
  readonly #cleaning = new Map<number, (done: boolean) => void>();
  #lastRequest = 0;
  #opened: (() => void) | null = null;

  constructor(socket: Socket, handlers: ClerkHandlers) {
    this.#handlers = handlers;
    this.#link = new Link(socket, {
      hears: heard(TO_SEND, {
        fresh: (message) => handlers.fresh(message),
        retract: (message, id) =>
          this.#link.send(FRAME.retracted, id, handlers.known(message) ? "!" : "+"),
        scan: () => handlers.scan(),
        result: (result, id) => this.#queue.answered(id, result),
        cleaned: ({ yes }, id) => this.#cleaned(id, yes),
        opened: () => this.#opened?.(),
      }),
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

  /** Removes files of `message`. Resolves with false when something could not be removed, now. */
  clean(type: CleanType, message: MessageName): Promise<boolean> {
    if (this.#link.closed) return Promise.resolve(false);
    const request = ++this.#lastRequest;
    if (this.#lastRequest >= 0x7fffffff) this.#lastRequest = 0;
    return new Promise((resolve) => {
      this.#cleaning.set(request, resolve);
      this.#link.send(type, request, formatName(message));
    });
  }

  end(): void {
    this.#link.end();
  }

  #cleaned(request: number, done: boolean): void {
    const resolve = this.#cleaning.get(request);
    this.#cleaning.delete(request);
    resolve?.(done);
  }

  #gone(): void {
    this.#queue.ended();
    for (const request of [...this.#cleaning.keys()]) this.#cleaned(request, false);
    this.#handlers.gone();
  }
}
