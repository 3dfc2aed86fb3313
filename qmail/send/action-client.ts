/** The other end of qmail-send's own socket: what `qmailctl` asks. */

import { connect } from "node:net";
import { join } from "node:path";
import { Link } from "../net/link.ts";
import type { Action, Target } from "./action.ts";
import {
  type Answer,
  ASK,
  decode,
  encode,
  SEND_SOCKET,
  type Status,
  TARGETS_MAX,
} from "./action-protocol.ts";

/** Requests that are under way at once: the next is read while one is acted upon. */
const REQUESTS = 4;

/** qmail-send went away before it had answered. */
export class LostError extends Error {}

export class ActionClient {
  readonly #link: Link;
  readonly #waiting = new Map<number, (type: number, payload: Buffer) => void>();
  readonly #closed = Promise.withResolvers<never>();
  #last = 0;

  private constructor(link: (handlers: ConstructorParameters<typeof Link>[1]) => Link) {
    // Whoever waits is told; when nobody does nothing is wrong.
    this.#closed.promise.catch(() => {});
    this.#link = link({
      frame: (type, id, payload) => this.#waiting.get(id)?.(type, payload),
      close: () => this.#closed.reject(new LostError("qmail-send has gone away")),
    });
  }

  /** Connects to the qmail-send of the installation `home`; null when none listens. Rejects when we may not. */
  static connect(home: string): Promise<ActionClient | null> {
    return new Promise((resolve, reject) => {
      const socket = connect(join(home, SEND_SOCKET));
      socket.once("connect", () => {
        socket.removeAllListeners("error");
        resolve(new ActionClient((handlers) => new Link(socket, handlers)));
      });
      socket.once("error", (error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT" || error.code === "ECONNREFUSED") resolve(null);
        else reject(error);
      });
    });
  }

  /** Has `action` done to each target. Yields an answer for each, in any order. Throws LostError. */
  async *act(
    action: Action,
    targets: Iterable<Target>,
    wait: number,
  ): AsyncGenerator<Answer, void, undefined> {
    const all = targets[Symbol.iterator]();
    const ready: Answer[] = [];
    let wake = Promise.withResolvers<void>();
    const open = new Set<number>();
    const answered = (answers: readonly Answer[]) => {
      ready.push(...answers);
      wake.resolve();
    };
    let more = true;
    while (more || open.size > 0 || ready.length > 0) {
      while (more && open.size < REQUESTS) {
        const some = Array.from({ length: TARGETS_MAX }, () => all.next().value).filter(Boolean);
        more = some.length === TARGETS_MAX;
        if (some.length > 0) this.#request(open, { action, wait, targets: some }, answered);
      }
      if (ready.length === 0 && open.size > 0) {
        await Promise.race([wake.promise, this.#closed.promise]);
        wake = Promise.withResolvers();
      }
      yield* ready.splice(0);
    }
  }

  /** Has everything tried now. */
  async flush(): Promise<void> {
    await this.#ask(ASK.flush);
  }

  /** How things stand. Rejects with LostError. */
  async status(): Promise<Status> {
    return decode(await this.#ask(ASK.status)) as Status;
  }

  close(): void {
    this.#link.end();
  }

  #request(
    open: Set<number>,
    request: { action: Action; wait: number; targets: readonly Target[] },
    answered: (answers: readonly Answer[]) => void,
  ): void {
    const id = ++this.#last;
    let left = request.targets.length;
    open.add(id);
    this.#waiting.set(id, (_type, payload) => {
      const answers = decode(payload) as Answer[];
      left -= answers.length;
      if (left <= 0) {
        open.delete(id);
        this.#waiting.delete(id);
      }
      answered(answers);
    });
    this.#link.send(ASK.act, id, encode(request));
  }

  #ask(type: number): Promise<Buffer> {
    const id = ++this.#last;
    const answer = new Promise<Buffer>((resolve) => {
      this.#waiting.set(id, (_type, payload) => {
        this.#waiting.delete(id);
        resolve(Buffer.from(payload));
      });
    });
    this.#link.send(type, id);
    return Promise.race([answer, this.#closed.promise]);
  }
}
