/** qmail-send's own socket: who may enter its directory asks for actions, and how things stand. */

import { chmodSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { heard } from "../net/frames.ts";
import { Link } from "../net/link.ts";
import {
  type Answer,
  ASK,
  encode,
  FROM_ASKER,
  formatStatus,
  type Request,
  SEND_SOCKET,
  type Status,
  UNANSWERED_MAX,
} from "./action-protocol.ts";
import type { Order } from "./action-queue.ts";

/** So many may ask at once. */
const CLIENTS_MAX = 100;
/** A frame that has begun must be whole after this time, in milliseconds. */
const FRAME_MS = 30_000;

export interface ActionServerContext {
  submit(order: Order): void;
  /** Everything is due now. */
  flush(): void;
  status(): Status;
}

export class ActionServer {
  readonly #context: ActionServerContext;
  readonly #links = new Set<Link>();
  #server: Server | null = null;

  constructor(context: ActionServerContext) {
    this.#context = context;
  }

  /** Resolves when the socket is there; rejects with the system's error. */
  listen(): Promise<void> {
    // Left by a crash. Two qmail-sends cannot be: we have sendmutex.
    rmSync(SEND_SOCKET, { force: true });
    const server = createServer((socket) => this.#client(socket));
    server.maxConnections = CLIENTS_MAX;
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(SEND_SOCKET, () => {
        chmodSync(SEND_SOCKET, 0o600);
        resolve();
      });
    });
  }

  /** Says what is still to be said, and hangs up. */
  close(): void {
    this.#server?.close();
    for (const link of this.#links) link.end();
  }

  #client(socket: Socket): void {
    let unanswered = 0;
    const link: Link = new Link(socket, {
      guarded: true,
      frameMs: FRAME_MS,
      hears: heard(FROM_ASKER, {
        act: (request, id) => {
          unanswered += request.targets.length;
          if (unanswered > UNANSWERED_MAX) return link.refuse("more at once than may be");
          this.#act(link, { request, id }, () => unanswered--);
        },
        flush: (_, id) => {
          this.#context.flush();
          link.send(ASK.flushed, id);
        },
        status: (_, id) => link.send(ASK.standing, id, formatStatus(this.#context.status())),
      }),
      close: () => this.#links.delete(link),
    });
    this.#links.add(link);
  }

  /** Answers each target of `request`; `answered` is called for each. */
  #act(
    link: Link,
    { request, id }: { readonly request: Request; readonly id: number },
    answered: () => void,
  ): void {
    const answers = new Answers((all) => link.send(ASK.answers, id, encode(all)));
    for (const target of request.targets) {
      this.#context.submit({
        action: request.action,
        target,
        patience: request.wait * 1000,
        answer: (verdict) => {
          answered();
          answers.add({ id: target.id, made: target.made, ...verdict });
        },
      });
    }
  }
}

/** The answers of one turn travel together. */
class Answers {
  readonly #send: (answers: readonly Answer[]) => void;
  #answers: Answer[] = [];

  constructor(send: (answers: readonly Answer[]) => void) {
    this.#send = send;
  }

  add(answer: Answer): void {
    if (this.#answers.length === 0) {
      // Before an ending process hangs up: no turn of the loop may pass.
      queueMicrotask(() => {
        this.#send(this.#answers);
        this.#answers = [];
      });
    }
    this.#answers.push(answer);
  }
}
