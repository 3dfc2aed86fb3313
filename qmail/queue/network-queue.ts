/** The queue as the network daemons see it: one long-lived link to the server, renewed when it breaks. */

import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { QQ } from "../exit.ts";
import { heard } from "../net/frames.ts";
import { Link } from "../net/link.ts";
import { FROM_SERVER, NETWORK_SOCKET } from "./protocol.ts";
import { type Qmail, type QueueDoor, queueFailure } from "./qmail.ts";
import { QueueLink } from "./queue-link.ts";

const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 1000;

export interface NetworkQueue extends QueueDoor {
  /** Resolves when the link is up. Tries until then, or until `end`. */
  connect(): Promise<void>;
  /** True while the link is up: messages opened now can be queued. */
  readonly connected: boolean;
  end(): void;
}

/** The network daemons' door to the queue of the installation in `home`. */
export function networkQueue(home: string): NetworkQueue {
  return new ReconnectingQueue(join(home, NETWORK_SOCKET));
}

class ReconnectingQueue implements NetworkQueue {
  readonly #path: string;
  #queue: QueueLink | null = null;
  #socket: Socket | null = null;
  #ended = false;
  #timer: NodeJS.Timeout | null = null;
  #delay = RETRY_FIRST_MS;
  #waiting: (() => void)[] = [];

  constructor(path: string) {
    this.#path = path;
  }

  get connected(): boolean {
    return this.#queue !== null;
  }

  connect(): Promise<void> {
    if (this.#queue) return Promise.resolve();
    const up = new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (!this.#socket && !this.#timer) this.#try();
    return up;
  }

  open(): Qmail {
    return this.#queue?.open() ?? REFUSING;
  }

  end(): void {
    this.#ended = true;
    if (this.#timer) clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  #try(): void {
    this.#timer = null;
    const socket = connect(this.#path);
    this.#socket = socket;
    let queue: QueueLink | null = null;
    const link = new Link(socket, {
      hears: heard(FROM_SERVER, { result: (result, id) => queue?.answered(id, result) }),
      close: () => {
        this.#queue = null;
        this.#socket = null;
        queue?.ended();
        this.#retry();
      },
    });
    socket.on("connect", () => {
      queue = new QueueLink(link);
      this.#queue = queue;
      this.#delay = RETRY_FIRST_MS;
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const resolve of waiting) resolve();
    });
  }

  #retry(): void {
    if (this.#ended) return;
    this.#timer = setTimeout(() => this.#try(), this.#delay);
    this.#delay = Math.min(this.#delay * 2, RETRY_MAX_MS);
  }
}

/** What is opened while the queue cannot be reached: swallows the message and refuses it for now. */
const REFUSING: Qmail = {
  full: false,
  put() {},
  drained: () => Promise.resolve(),
  close: () => Promise.resolve(queueFailure(QQ.network)),
  abort() {},
};
