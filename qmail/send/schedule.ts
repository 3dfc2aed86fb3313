/** What is to be tried when: the priority queues (C qmail: pq*). No directory is read while mail flows. */

import { fmtqfn, type MessId, SPLIT } from "../queue/fmtqfn.ts";
import * as log from "./log.ts";
import { CHANNELS, type Channel } from "./log.ts";
import { Prioq } from "./prioq.ts";
import type { QueueFiles, Settlement } from "./queue-files.ts";

/** After trouble with the system, the next try is this many seconds later. */
export const SLEEP_SYSFAIL = 123;
/** So long the reading of what an earlier run left may hold everything else up. */
const SLICE_MS = 5;

export interface StartContext {
  /** Seconds since 1970. */
  readonly now: () => number;
  /** False when the reading is to be given up. */
  active(): boolean;
  /** Waits after the directory could not be read. */
  pause(directory: string): Promise<void>;
  /** A slice has been read. Resolves when the next may be. */
  slice(): Promise<void>;
}

export class Schedule {
  readonly #files: QueueFiles;
  readonly #log: (line: string) => void;
  /** -todo +info, and a file in the channel's directory. */
  readonly channel: Readonly<Record<Channel, Prioq>> = { local: new Prioq(), remote: new Prioq() };
  /** -todo +info, and hopefully neither local nor remote. */
  readonly done = new Prioq();
  /** Could not be looked at: to be added again. */
  readonly fail = new Prioq();
  /** While `start` reads: what has left todo meanwhile, and so is not from an earlier run. */
  #fresh: Set<MessId> | null = null;
  /** What `start` still finds is due at this time at the latest (SIGALRM). */
  #latest = Number.POSITIVE_INFINITY;

  constructor(files: QueueFiles, log: (line: string) => void) {
    this.#files = files;
    this.#log = log;
  }

  /**
   * Adds all messages that an earlier run left, a slice at a time: new mail need not wait for a
   * million of them. One stat for each; whether a file exists is known from its directory.
   */
  async start(context: StartContext): Promise<void> {
    const { now, active, pause, slice } = context;
    this.#fresh = new Set();
    // Died while it wrote info: such a message is still in todo and starts from there.
    const todo = new Set(await this.#files.ids("todo", pause));
    let began = performance.now();
    for (let split = 0; split < SPLIT; split++) {
      const there = {
        local: new Set(await this.#files.ids(`local/${split}`, pause)),
        remote: new Set(await this.#files.ids(`remote/${split}`, pause)),
      };
      const mess = new Set(await this.#files.ids(`mess/${split}`, pause));
      for (const id of await this.#files.ids(`info/${split}`, pause)) {
        if (!mess.has(id) && this.#isGone(id)) {
          // What is left of it is taken away by cleanup.
        } else if (!todo.has(id) && !this.#fresh.has(id)) {
          const channels = CHANNELS.filter((channel) => there[channel].has(id));
          this.#add(id, channels, now());
        }
        if (performance.now() - began < SLICE_MS) continue;
        await slice();
        if (!active()) return;
        began = performance.now();
      }
    }
    this.#fresh = null;
    this.#latest = Number.POSITIVE_INFINITY;
  }

  /** Looks again at a message that could not be looked at. */
  retry(id: MessId, now: number): void {
    try {
      if (this.#files.mtime("info", id) === null) return;
      if (this.#files.mtime("todo", id) !== null) return;
      this.#add(id, CHANNELS, now);
    } catch (error) {
      this.#failed(id, now, error);
    }
  }

  /** The message is leaving todo: what appears of it in the directories is known here. */
  settling(id: MessId): void {
    this.#fresh?.add(id);
  }

  /** A message that has just left todo. */
  settled({ id, records, retry }: Settlement, now: number): void {
    for (const channel of CHANNELS) {
      if (records[channel]) this.channel[channel].insert(id, retry[channel]);
    }
    if (CHANNELS.every((channel) => records[channel] === "")) this.done.insert(id, now);
  }

  /** When there is something to do next; Infinity when never. */
  get wakeup(): number {
    const { local, remote } = this.channel;
    return Math.min(local.minTime, remote.minTime, this.done.minTime, this.fail.minTime);
  }

  /** Everything is due at `now` (SIGALRM). */
  runAll(now: number): void {
    for (const channel of CHANNELS) this.channel[channel].setAll(now);
    if (this.#fresh) this.#latest = now;
  }

  /**
   * Writes the times of the next tries into the files (at exit), those that are not there already: of
   * a million messages most have not been tried since the start.
   */
  finish(): void {
    for (const channel of CHANNELS) {
      for (const [id, time] of this.channel[channel].unsaved()) {
        try {
          this.#files.setRetry(channel, id, time);
        } catch {
          const name = fmtqfn(channel, id);
          this.#log(log.warning(`unable to utime ${name}; message will be retried too soon`));
        }
      }
    }
  }

  /** A message whose files lie in the queue, those of `channels` perhaps; its times are theirs. */
  #add(id: MessId, channels: readonly Channel[], now: number): void {
    try {
      const times = channels.map((channel) => this.#files.mtime(channel, id));
      for (const [at, channel] of channels.entries()) {
        const time = times[at];
        if (typeof time === "number") {
          const due = Math.min(time, this.#latest);
          this.channel[channel].insert(id, due, due === time);
        }
      }
      if (times.every((time) => time === null)) this.done.insert(id, now);
    } catch (error) {
      this.#failed(id, now, error);
    }
  }

  /** A message ends with its mess file: the rest came back after a power cut, and asks for nothing. */
  #isGone(id: MessId): boolean {
    try {
      return this.#files.mtime("mess", id) === null;
    } catch {
      return false;
    }
  }

  #failed(id: MessId, now: number, error: unknown): void {
    this.#log(log.warning(`${(error as Error).message}; will try again later`));
    this.fail.insert(id, now + SLEEP_SYSFAIL);
  }
}
