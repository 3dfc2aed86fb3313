/** The other end of qmail-send's own socket: what `qmailctl` asks. */

import { connect } from "node:net";
import { join } from "node:path";
import { heard } from "../net/frames.ts";
import { Link, type LinkOptions } from "../net/link.ts";
import type { Action, Target } from "./action.ts";
import {
  type Answer,
  ASK,
  encode,
  SEND_SOCKET,
  type Status,
  TARGETS_MAX,
  TO_ASKER,
} from "./action-protocol.ts";

/** Requests that are under way at once: the next is read while one is acted upon. */
const REQUESTS = 4;

/** qmail-send went away before it had answered. */
export class LostError extends Error {}

export class ActionClient {
  readonly #link: Link;
  /** Who takes the answers to a request. */
  readonly #acting = new Map<number, (answers: readonly Answer[]) => void>();
  readonly #asking = new Map<number, (status: Status | null) => void>();
  readonly #closed = Promise.withResolvers<never>();
  #last = 0;

  private constructor(link: (options: LinkOptions) => Link) {
    // Whoever waits is told; when nobody does nothing is wrong.
    this.#closed.promise.catch(() => {});
    this.#link = link({
      hears: heard(TO_ASKER, {
        answers: (answers, id) => this.#acting.get(id)?.(answers),
        standing: (status, id) => this.#asking.get(id)?.(status),
        flushed: (_, id) => this.#asking.get(id)?.(null),
      }),
      close: () => this.#closed.reject(new LostError("qmail-send has gone away")),
    });
  }

  /** Connects to the qmail-send of the installation `home`; null when none listens. Rejects when we may not. */
  static connect(home: string): Promise<ActionClient | null> {
    return new Promise((resolve, reject) => {
      const socket = connect(join(home, SEND_SOCKET));
      socket.once("connect", () => {
        socket.removeAllListeners("error");
        resolve(new ActionClient((options) => new Link(socket, options)));
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
    const status = await this.#ask(ASK.status);
    if (!status) throw new LostError("qmail-send has answered something else");
    return status;
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
    this.#acting.set(id, (answers) => {
      left -= answers.length;
      if (left <= 0) {
        open.delete(id);
        this.#acting.delete(id);
      }
      answered(answers);
    });
    this.#link.send(ASK.act, id, encode(request));
  }

  #ask(kind: typeof ASK.flush | typeof ASK.status): Promise<Status | null> {
    const id = ++this.#last;
    const answer = new Promise<Status | null>((resolve) => {
      this.#asking.set(id, (status) => {
        this.#asking.delete(id);
        resolve(status);
      });
    });
    this.#link.send(kind, id);
    return Promise.race([answer, this.#closed.promise]);
  }
}
