/** What is to be tried when: the priority queues (C qmail: pq*). No directory is read while mail flows. */

import type { MessId } from "../queue/fmtqfn.ts";
import * as log from "./log.ts";
import { CHANNELS, type Channel } from "./log.ts";
import { Prioq } from "./prioq.ts";
import type { QueueFiles, Settlement } from "./queue-files.ts";

/** After trouble with the system, the next try is this many seconds later. */
export const SLEEP_SYSFAIL = 123;

export class Schedule {
  readonly #files: QueueFiles;
  readonly #log: (line: string) => void;
  /** -todo +info, and a file in the channel's directory. */
  readonly channel: Readonly<Record<Channel, Prioq>> = { local: new Prioq(), remote: new Prioq() };
  /** -todo +info, and hopefully neither local nor remote. */
  readonly done = new Prioq();
  /** Could not be looked at: to be added again. */
  readonly fail = new Prioq();

  constructor(files: QueueFiles, log: (line: string) => void) {
    this.#files = files;
    this.#log = log;
  }

  /** All messages that an earlier run left. */
  start(now: number): void {
    for (const id of this.#files.ids("info")) this.add(id, now);
  }

  /** A message whose files lie in the queue; its times are those of the files. */
  add(id: MessId, now: number): void {
    try {
      if (this.#files.mtime("info", id) === null) return;
      // Died while it wrote info: the message is still in todo and starts from there.
      if (this.#files.mtime("todo", id) !== null) return;
      const times = CHANNELS.map((channel) => this.#files.mtime(channel, id));
      for (const [at, channel] of CHANNELS.entries()) {
        const time = times[at];
        if (typeof time === "number") this.channel[channel].insert(id, time);
      }
      if (times.every((time) => time === null)) this.done.insert(id, now);
    } catch {
      this.#log(log.warning(`unable to stat ${id}; will try again later`));
      this.fail.insert(id, now + SLEEP_SYSFAIL);
    }
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
  }

  /** Writes the times of the next tries into the files (at exit). */
  finish(): void {
    for (const channel of CHANNELS) {
      for (const [id, time] of this.channel[channel]) {
        try {
          this.#files.setRetry(channel, id, time);
        } catch {
          const path = this.#files.path(channel, id);
          this.#log(log.warning(`unable to utime ${path}; message will be retried too soon`));
        }
      }
    }
  }
}
