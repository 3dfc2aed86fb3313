/** Messages that are written down: info/, local/, remote/, bounce/, then out of todo (INTERNALS.md, "Settled"). */

import type { MessId } from "../queue/fmtqfn.ts";
import { FRAME } from "../queue/protocol.ts";
import * as log from "./log.ts";
import { QueueFileError, type QueueFiles } from "./queue-files.ts";
import type { Removals } from "./removals.ts";
import { type Schedule, SLEEP_SYSFAIL } from "./schedule.ts";
import { type StraightMessage, settlement } from "./straight.ts";

/** So many messages from todo are written down at once; the next wait. */
const SETTLING_MAX = 100;

/** So many that cannot be written down are remembered, with what is done of them. */
const UNWRITTEN_MAX = 20_000;

export interface SettlingContext {
  readonly files: QueueFiles;
  readonly schedule: Schedule;
  readonly removals: Removals;
  readonly log: (line: string) => void;
  readonly now: () => number;
  /** The message is not delivered straight any more. */
  forget(id: MessId): void;
  /** A message could neither be written down nor remembered: todo, where it is, is to be read again at `time`. */
  failed(time: number): void;
  /** Something was put into the schedule, or waits for its time: another turn is wanted. */
  changed(): void;
}

/** A message that could not be written down. */
interface Unwritten {
  readonly message: StraightMessage;
  /** When it is tried again, in seconds since 1970. */
  again: number;
}

export class Settling {
  readonly #context: SettlingContext;
  readonly #settling = new Map<MessId, Promise<void>>();
  /** Of these, those that are still in todo. */
  readonly #inTodo = new Set<MessId>();
  /** In the order of their times. What is done of them must not be forgotten, or it would be done again. */
  readonly #unwritten = new Map<MessId, Unwritten>();

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

  /** True while `id` is to be written down and still in todo. */
  has(id: MessId): boolean {
    return this.#inTodo.has(id) || this.#unwritten.has(id);
  }

  /** Resolves when `id` is written down, or could not be; undefined when it is not being written. */
  of(id: MessId): Promise<void> | undefined {
    return this.#settling.get(id);
  }

  /** Writes down now what could not be written before; undefined when there is no such thing of `id`. */
  again(id: MessId): Promise<void> | undefined {
    const unwritten = this.#unwritten.get(id);
    return unwritten && this.settle(unwritten.message);
  }

  /** Resolves when there is room for another. */
  async room(): Promise<void> {
    while (this.full) await Promise.race(this.#settling.values());
  }

  /** Resolves when nothing that was begun is under way. */
  async idle(): Promise<void> {
    await Promise.all(this.#settling.values());
  }

  /** When something is to be tried again, in seconds since 1970; Infinity when never. */
  get wakeup(): number {
    const [first] = this.#unwritten.values();
    return first ? first.again : Number.POSITIVE_INFINITY;
  }

  /** Tries again what was to be tried again by `now`, as much at once as there is room for. */
  run(now: number): void {
    for (const { message, again } of [...this.#unwritten.values()]) {
      if (again > now || this.full) return;
      void this.settle(message);
    }
  }

  /** Everything is to be tried again now. */
  retryAll(): void {
    for (const unwritten of this.#unwritten.values()) unwritten.again = 0;
  }

  /** Tries once more what is to be tried again: we leave. */
  leave(): void {
    for (const { message } of [...this.#unwritten.values()]) void this.settle(message);
  }

  /** Writes down what is to be done for the message, removes it from todo and schedules it. */
  settle(message: StraightMessage): Promise<void> {
    const { id } = message;
    const settling: Promise<void> = this.#writeDown(message).finally(() => {
      if (this.#settling.get(id) === settling) this.#settling.delete(id);
    });
    this.#settling.set(id, settling);
    return settling;
  }

  async #writeDown(message: StraightMessage): Promise<void> {
    const { files, schedule, removals, now, forget, changed } = this.#context;
    const { id } = message;
    const settled = settlement(message, now());
    this.#inTodo.add(id);
    this.#unwritten.delete(id);
    forget(id);
    schedule.settling(id);
    try {
      await files.settle(settled);
      const { gone } = removals.remove(FRAME.cleanTodo, message);
      this.#inTodo.delete(id);
      // As long as it cannot be taken from todo it is not begun: that comes from todo, or from here.
      if (await gone) schedule.settled(settled, now());
    } catch (error) {
      if (!(error instanceof QueueFileError)) throw error;
      this.#context.log(log.warning(error.message));
      this.#inTodo.delete(id);
      this.#remember(message);
    }
    changed();
  }

  #remember(message: StraightMessage): void {
    const again = this.#context.now() + SLEEP_SYSFAIL;
    const begun = message.bounce !== "" || message.states.includes("done");
    if (begun || this.#unwritten.size < UNWRITTEN_MAX) {
      this.#unwritten.set(message.id, { message, again });
    } else this.#context.failed(again);
  }
}
