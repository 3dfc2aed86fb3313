/** Messages that are written down: info/, local/, remote/, bounce/, then out of todo (INTERNALS.md, "Settled"). */

import type { MessId } from "../queue/fmtqfn.ts";
import { FRAME } from "../queue/protocol.ts";
import type { Ending } from "./ending.ts";
import * as log from "./log.ts";
import { QueueFileError, type QueueFiles } from "./queue-files.ts";
import { type Schedule, SLEEP_SYSFAIL } from "./schedule.ts";
import { type StraightMessage, settlement } from "./straight.ts";

/** So many messages from todo are written down at once; the next wait. */
const SETTLING_MAX = 100;

export interface SettlingContext {
  readonly files: QueueFiles;
  readonly schedule: Schedule;
  readonly ending: Ending;
  readonly log: (line: string) => void;
  readonly now: () => number;
  /** The message is not delivered straight any more. */
  forget(id: MessId): void;
  /** The message could not be written down: todo is to be read again at `time`. */
  failed(time: number): void;
  /** Something was put into the schedule: another turn is wanted. */
  changed(): void;
}

export class Settling {
  readonly #context: SettlingContext;
  readonly #settling = new Map<MessId, Promise<void>>();
  /** Of these, those that are still in todo. */
  readonly #inTodo = new Set<MessId>();

  constructor(context: SettlingContext) {
    this.#context = context;
  }

  /** True when so many are being written down that the next must wait. */
  get full(): boolean {
    return this.#settling.size >= SETTLING_MAX;
  }

  /** So many are being written down. */
  get size(): number {
    return this.#settling.size;
  }

  /** True while files of `id` are being written and it is still in todo. */
  has(id: MessId): boolean {
    return this.#inTodo.has(id);
  }

  /** Resolves when `id` is written down, or could not be; undefined when it is not being written. */
  of(id: MessId): Promise<void> | undefined {
    return this.#settling.get(id);
  }

  /** Resolves when there is room for another. */
  async room(): Promise<void> {
    while (this.full) await Promise.race(this.#settling.values());
  }

  /** Resolves when nothing that was begun is under way. */
  async idle(): Promise<void> {
    await Promise.all(this.#settling.values());
  }

  /** Writes down what is to be done for the message, removes it from todo and schedules it. */
  settle(message: StraightMessage): Promise<void> {
    const { id } = message;
    const settling = this.#writeDown(message).finally(() => this.#settling.delete(id));
    this.#settling.set(id, settling);
    return settling;
  }

  async #writeDown(message: StraightMessage): Promise<void> {
    const { files, schedule, ending, now, failed, forget, changed } = this.#context;
    const { id } = message;
    const settled = settlement(message, now());
    this.#inTodo.add(id);
    forget(id);
    schedule.settling(id);
    try {
      await files.settle(settled);
      const cleaned = ending.clean(FRAME.cleanTodo, id);
      this.#inTodo.delete(id);
      if (await cleaned) schedule.settled(settled, now());
    } catch (error) {
      // The message is still in todo: the next reading of the directory finds it.
      if (!(error instanceof QueueFileError)) throw error;
      this.#context.log(log.warning(error.message));
      failed(now() + SLEEP_SYSFAIL);
    }
    this.#inTodo.delete(id);
    changed();
  }
}
