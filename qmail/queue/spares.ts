/**
 * Spares: the mess and intd files of messages that are done, kept for the next ones (INTERNALS.md, "Spares").
 *
 * To make and remove two files for each message is most of what a filesystem does for a mail server.
 * A pair that stays where it is, without its name in todo/, is in state S3: what a crash leaves of it
 * is garbage that cleanup removes. It may be written again only when the removal of todo/ID is
 * durable; otherwise a crash could show the old envelope with the new message.
 */

import { unlinkSync } from "node:fs";
import { fmtqfn, type MessId } from "./fmtqfn.ts";

/** As many as a busy moment uses. */
const SPARES_MAX = 100;
/** Without work for so long, they are removed: who counts files in mess/ should find messages. */
const IDLE_MS = 2000;
/** Older pairs are removed: cleanup must never take one that is being written for garbage. */
const AGE_MS = 12 * 3600 * 1000;

export interface Spare {
  readonly id: MessId;
  /** When its files were made, in milliseconds. */
  readonly made: number;
}

export class Spares {
  readonly #queue: string;
  readonly #now: () => number;
  /** Their removal from todo/ is not known to be durable. */
  #pending: Spare[] = [];
  #ready: Spare[] = [];
  #timer: NodeJS.Timeout | null = null;

  /** `queue` is the queue directory, `now` the clock in milliseconds. */
  constructor(queue: string, now: () => number) {
    this.#queue = queue;
    this.#now = now;
  }

  /** Keeps the pair, whose name in todo/ has just been removed, or removes it. */
  offer(spare: Spare): void {
    const known = this.#pending.length + this.#ready.length;
    if (known >= SPARES_MAX || this.#now() - spare.made > AGE_MS) {
      this.#remove(spare);
      return;
    }
    this.#pending.push(spare);
    this.#timer ??= setTimeout(() => this.clear(), IDLE_MS);
    this.#timer.refresh();
  }

  /** A pair to be written anew. */
  take(): Spare | undefined {
    return this.#ready.pop();
  }

  /** The pairs that a sync of todo/ begun now covers; to be given to `synced` or `failed`. */
  covered(): Spare[] {
    const covered = this.#pending;
    this.#pending = [];
    return covered;
  }

  synced(covered: readonly Spare[]): void {
    this.#ready.push(...covered);
  }

  failed(covered: readonly Spare[]): void {
    for (const spare of covered) this.#remove(spare);
  }

  /** Removes all pairs. */
  clear(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    for (const spare of [...this.covered(), ...this.#ready]) this.#remove(spare);
    this.#ready = [];
  }

  #remove({ id }: Spare): void {
    for (const directory of ["intd", "mess"] as const) {
      try {
        unlinkSync(`${this.#queue}/${fmtqfn(directory, id)}`);
      } catch {
        // What stays is garbage that cleanup finds.
      }
    }
  }
}
