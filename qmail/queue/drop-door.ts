/**
 * The door of every local user: names of files in drop, whose owner tells who queued them.
 *
 * Who comes has left his message already. So nobody is owed more than a moment here: who is not let in, or is shut out
 * because he says nothing, makes his file durable and goes, as if no server were there (local-queue.ts), and drop is
 * looked through soon. Any number of connections takes no descriptors from others, then, and no mail.
 */

import type { Server, Socket } from "node:net";
import { QQ } from "../exit.ts";
import { heard } from "../net/frames.ts";
import { Link } from "../net/link.ts";
import { Warnings } from "../warn.ts";
import { dropQp } from "./drop.ts";
import { FRAME, FROM_LOCAL, formatResult } from "./protocol.ts";
import { codeOf } from "./trouble.ts";

/** So many are let in at once. */
const CLIENTS_MAX = 200;
/** Who has said nothing for so long is shut out, in milliseconds. */
const SAY_MS = 5000;
/** From shutting somebody out to the look at drop, in milliseconds, and times that which the last look took. */
const LOOK_MS = 1000;
const LOOK_REST = 4;

/** What the door needs of the queue server. */
export interface DropTaker {
  nextQp(): number;
  /** Takes in the dropped file `name`. Rejects with QueueError. */
  takeDrop(name: string, qp: number): Promise<void>;
  /** Takes in whatever is in drop. */
  takeDrops(): Promise<void>;
}

export class DropDoor {
  readonly #taker: DropTaker;
  readonly #warnings = new Warnings();
  #look: NodeJS.Timeout | null = null;
  #lookedMs = 0;

  constructor(taker: DropTaker) {
    this.#taker = taker;
  }

  prepare(server: Server): void {
    server.maxConnections = CLIENTS_MAX;
    server.on("drop", () => this.#lookSoon());
  }

  connected(socket: Socket): void {
    const silence = new Silence(() => {
      link.destroy();
      this.#lookSoon();
    });
    let asked = false;
    const link: Link = new Link(socket, {
      guarded: true,
      hears: heard(FROM_LOCAL, {
        drop: (name, id) => {
          if (asked) return link.destroy();
          asked = true;
          silence.end();
          void this.#take(name).then((result) => {
            asked = false;
            link.send(FRAME.result, id, result);
            if (!link.closed) silence.begin();
          });
        },
      }),
      close: () => silence.end(),
    });
    silence.begin();
  }

  async #take(name: string): Promise<Buffer> {
    const qp = dropQp(name) ?? this.#taker.nextQp();
    let code: number = QQ.ok;
    try {
      await this.#taker.takeDrop(name, qp);
    } catch (error) {
      code = codeOf(error, this.#warnings);
    }
    return formatResult(code, qp);
  }

  /** Somebody has left his message and was not heard. */
  #lookSoon(): void {
    this.#look ??= setTimeout(
      async () => {
        const begun = performance.now();
        await this.#taker.takeDrops();
        this.#lookedMs = performance.now() - begun;
        this.#look = null;
      },
      Math.max(LOOK_MS, LOOK_REST * this.#lookedMs),
    );
  }
}

/** Waits for somebody to say something. */
class Silence {
  readonly #over: () => void;
  #timer: NodeJS.Timeout | null = null;

  constructor(over: () => void) {
    this.#over = over;
  }

  begin(): void {
    this.end();
    this.#timer = setTimeout(() => {
      // Had we been stopped he may have spoken meanwhile: what has come is heard before this is called.
      this.#timer = setTimeout(this.#over, 0);
    }, SAY_MS);
  }

  end(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
