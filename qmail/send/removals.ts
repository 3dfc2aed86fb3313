/**
 * What the queue server is to remove for us, until it has: a message whose removal failed is done, and stays known
 * so long. It is never delivered again, and its number is nobody else's.
 */

import { fmtqfn, type MessId } from "../queue/fmtqfn.ts";
import { FRAME, type MessageName } from "../queue/protocol.ts";
import type { CleanType } from "../queue/removal.ts";
import * as log from "./log.ts";
import { SLEEP_SYSFAIL } from "./schedule.ts";

const AGAIN_FIRST_MS = 1000;
const AGAIN_MOST_MS = SLEEP_SYSFAIL * 1000;

export interface RemovalsContext {
  readonly log: (line: string) => void;
  /** Asks the queue server once; false when something stays. */
  clean(type: CleanType, message: MessageName): Promise<boolean>;
}

/** One removal, which is tried until it succeeds. */
export interface Removing {
  readonly made: number;
  /** Resolves when it was tried for the first time, with whether that was enough. */
  readonly tried: Promise<boolean>;
  /** Resolves with true when it has succeeded, with false when we leave before. */
  readonly gone: Promise<boolean>;
}

/** One that is to be tried again. */
interface Failed {
  again(): void;
  giveUp(): void;
}

export class Removals {
  readonly #context: RemovalsContext;
  readonly #removing = new Map<MessId, Removing>();
  readonly #failed = new Set<Failed>();
  #leaving = false;

  constructor(context: RemovalsContext) {
    this.#context = context;
  }

  /** Has files of `message` removed. Nobody else may do anything with it from here on. */
  remove(type: CleanType, message: MessageName): Removing {
    const tried = this.#try(type, message);
    const gone = this.#untilGone(type, message, tried);
    const removing = { made: message.made, tried, gone };
    this.#removing.set(message.id, removing);
    const forget = () => {
      if (this.#removing.get(message.id) === removing) this.#removing.delete(message.id);
    };
    void gone.then(forget);
    return removing;
  }

  /**
   * True while files of `id` are to be removed; of that very message when `made` says which one. The frame behind the
   * one that says that they are may announce a new message that got the same inode.
   */
  has(id: MessId, made?: number): boolean {
    const removing = this.#removing.get(id);
    return removing !== undefined && (made === undefined || removing.made === made);
  }

  /** Resolves when what is being tried now has been tried; undefined when nothing of `id` is being removed. */
  of(id: MessId): Promise<unknown> | undefined {
    return this.#removing.get(id)?.tried;
  }

  /** What failed is tried again now. */
  retryAll(): void {
    for (const failed of [...this.#failed]) failed.again();
  }

  /** Nothing is tried again; resolves when what is under way has been answered. */
  async leave(): Promise<void> {
    this.#leaving = true;
    for (const failed of [...this.#failed]) failed.giveUp();
    await Promise.all([...this.#removing.values()].map(({ gone }) => gone));
  }

  async #try(type: CleanType, message: MessageName): Promise<boolean> {
    const done = await this.#context.clean(type, message);
    if (!done) {
      const { id } = message;
      const path = type === FRAME.cleanMess ? `foop/${id}` : fmtqfn("todo", id);
      this.#context.log(log.warning(`qmail-clean unable to clean up ${path}`));
    }
    return done;
  }

  async #untilGone(
    type: CleanType,
    message: MessageName,
    first: Promise<boolean>,
  ): Promise<boolean> {
    let done = await first;
    for (let wait = AGAIN_FIRST_MS; !done; wait = Math.min(wait * 2, AGAIN_MOST_MS)) {
      if (!(await this.#pause(wait))) return false;
      done = await this.#try(type, message);
    }
    return true;
  }

  /** Resolves with true when the next try is due, with false when there is none. */
  #pause(waitMs: number): Promise<boolean> {
    if (this.#leaving) return Promise.resolve(false);
    return new Promise((resolve) => {
      const end = (again: boolean) => {
        clearTimeout(timer);
        this.#failed.delete(failed);
        resolve(again);
      };
      const failed = { again: () => end(true), giveUp: () => end(false) };
      const timer = setTimeout(failed.again, waitMs);
      this.#failed.add(failed);
    });
  }
}
