/**
 * qmail-clean: removes what qmail-send may not (qmail-clean(8)), in an order that leaves no name behind that another
 * message could be taken by (INTERNALS.md, "A number is one message's").
 *
 * mess/N/ID is the last name to go, and goes only when the others have gone: as long as it is there the number is taken.
 */

import { statSync, unlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { GroupSync } from "../files/groupsync.ts";
import type { Entering } from "./entering.ts";
import { type FlatDirectory, fmtqfn, type MessId, type SplitDirectory } from "./fmtqfn.ts";
import { madeOf } from "./made.ts";
import { FRAME, type MessageName } from "./protocol.ts";

/** What is to be removed: intd and todo; intd and mess; all three. */
export type CleanType = typeof FRAME.cleanTodo | typeof FRAME.cleanMess | typeof FRAME.cleanAll;

export interface RemovalContext {
  /** The queue directory. */
  readonly queue: string;
  /** False where a name in todo/ that was removed may come back after a power cut, with its message's number given away. */
  readonly fsyncCarriesName: boolean;
  readonly sync: GroupSync;
  readonly entering: Entering;
  /** A number stays taken so long after its mess file was made (`madeTick`). */
  readonly tickMs: number;
  /** Milliseconds since 1970; the clock when absent. */
  readonly now?: () => number;
}

export class Removal {
  readonly #context: RemovalContext;

  constructor(context: RemovalContext) {
    this.#context = context;
  }

  /**
   * Removes files of `message`. Rejects with the reason when something stays, from there on everything; asked again it
   * goes on. What is gone already counts as removed.
   */
  async remove(type: CleanType, message: MessageName): Promise<void> {
    await this.#mayRemove(type, message);
    const { id } = message;
    const { fsyncCarriesName, sync, queue } = this.#context;
    // What a power cut brings back in todo/ must not meet another message with the number.
    const slowly = type !== FRAME.cleanTodo && !fsyncCarriesName;
    if (slowly && type === FRAME.cleanAll) this.#unlink("todo", id);
    if (slowly) await sync.sync(`${queue}/todo`);
    this.#unlink("intd", id);
    if (type !== FRAME.cleanMess) this.#unlink("todo", id);
    if (type !== FRAME.cleanTodo) this.#unlink("mess", id);
  }

  /** Waits until nobody else works on the message. Rejects when it is not the one that is meant, or must stay. */
  async #mayRemove(type: CleanType, { id, made }: MessageName): Promise<void> {
    const { entering, tickMs, now = Date.now } = this.#context;
    for (let message = entering.of(id); message; message = entering.of(id)) {
      if (message.made !== made || !message.linked) throw new Error(`${id} is on its way in`);
      await message.over;
    }
    if (type !== FRAME.cleanTodo) {
      const young = made / 1000 + tickMs - now();
      if (young > 0) await sleep(Math.min(young, tickMs));
    }
    // Looked at again after each wait, and nothing is waited for from here to the first removal.
    const mess = this.#stat("mess", id);
    if (mess && madeOf(mess) !== made) throw new Error(`${id} is another message's`);
    if (type === FRAME.cleanMess && this.#stat("todo", id)) throw new Error(`${id} is in todo`);
  }

  #stat(directory: SplitDirectory | FlatDirectory, id: MessId) {
    return statSync(`${this.#context.queue}/${fmtqfn(directory, id)}`, { throwIfNoEntry: false });
  }

  #unlink(directory: SplitDirectory | FlatDirectory, id: MessId): void {
    const name = fmtqfn(directory, id);
    try {
      unlinkSync(`${this.#context.queue}/${name}`);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== "ENOENT") throw new Error(`${name}: ${message}`, { cause: error });
    }
  }
}
