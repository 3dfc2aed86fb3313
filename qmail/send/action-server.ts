/** qmail-send's own socket: who may enter its directory asks for actions, and how things stand. */

import { chmodSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { Link } from "../net/link.ts";
import {
  type Answer,
  ASK,
  encode,
  parseRequest,
  SEND_SOCKET,
  type Status,
  UNANSWERED_MAX,
} from "./action-protocol.ts";
import type { Order } from "./action-queue.ts";

/** So many may ask at once. */
const CLIENTS_MAX = 100;

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
    const server = createServer((socket) => this.#client(new Client(this.#context), socket));
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

  #client(client: Client, socket: ConstructorParameters<typeof Link>[0]): void {
    const link: Link = new Link(socket, {
      frame: (type, id, payload) => client.frame(link, { type, id, payload }),
      close: () => this.#links.delete(link),
    });
    this.#links.add(link);
  }
}

class Client {
  readonly #context: ActionServerContext;
  #unanswered = 0;

  constructor(context: ActionServerContext) {
    this.#context = context;
  }

  frame(link: Link, { type, id, payload }: { type: number; id: number; payload: Buffer }): void {
    if (type === ASK.act) this.#act(link, id, payload);
    else if (type === ASK.flush) {
      this.#context.flush();
      link.send(ASK.flushed, id);
    } else if (type === ASK.status) link.send(ASK.standing, id, encode(this.#context.status()));
    else link.destroy();
  }

  #act(link: Link, id: number, payload: Buffer): void {
    const request = parseRequest(payload);
    if (!request || this.#unanswered + request.targets.length > UNANSWERED_MAX) {
      link.destroy();
      return;
    }
    const answers = new Answers((all) => link.send(ASK.answers, id, encode(all)));
    for (const target of request.targets) {
      this.#unanswered++;
      this.#context.submit({
        action: request.action,
        target,
        patience: request.wait * 1000,
        answer: (verdict) => {
          this.#unanswered--;
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
