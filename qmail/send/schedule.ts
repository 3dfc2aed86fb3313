/**
 * What is to be tried when: the priority queues (C qmail: pq*). No directory is read while mail flows.
 *
 * A message may be reserved, for an action on it (action-queue.ts): then nothing of it is due, and what
 * comes back of it from deliveries under way is kept with the reservation.
 */

import { fmtqfn, type MessId, SPLIT } from "../queue/fmtqfn.ts";
import { IdSet } from "./id-set.ts";
import * as log from "./log.ts";
import { CHANNELS, type Channel } from "./log.ts";
import { Prioq } from "./prioq.ts";
import type { QueueFiles, Settlement } from "./queue-files.ts";

/** After trouble with the system, the next try is this many seconds later. */
export const SLEEP_SYSFAIL = 123;
/** So long the reading of what an earlier run left may hold everything else up. */
const SLICE_MS = 5;

/** No retry is so far ahead: such a time in a file is of a clock that was wrong. */
const LATEST_SECONDS = 2 * 86_400;

export interface StartContext {
  /** Seconds since 1970. */
  readonly now: () => number;
  /** False when the reading is to be given up. */
  active(): boolean;
  /** Waits after the directory could not be read. */
  pause(directory: string): Promise<void>;
  /** A slice has been read. Resolves when the next may be. */
  slice(): Promise<void>;
  /** True for a message that is not to be tried until it is released. */
  held(id: MessId): boolean;
}

/** When a channel of a message is due; `saved` as in Prioq. */
interface Due {
  readonly time: number;
  readonly saved: boolean;
}

/** What a message that is reserved has to do. */
export interface Place {
  readonly due: Partial<Record<Channel, Due>>;
  /** When it ends, if nothing is left to be delivered. */
  done: number | null;
  /** It could not be looked at. */
  fail: boolean;
  held: boolean;
}

/** Where messages wait for domains (holds.ts). */
type Parking = Readonly<Record<Channel, { take(ids: IdSet): MessId[]; forget(id: MessId): void }>>;

export class Schedule {
  readonly #files: QueueFiles;
  readonly #log: (line: string) => void;
  /** -todo +info, and a file in the channel's directory. */
  readonly channel: Readonly<Record<Channel, Prioq>> = { local: new Prioq(), remote: new Prioq() };
  /** As `channel`, of messages that are not tried until they are released. */
  readonly held: Readonly<Record<Channel, Prioq>> = { local: new Prioq(), remote: new Prioq() };
  /** -todo +info, and hopefully neither local nor remote. */
  readonly done = new Prioq();
  /** Could not be looked at: to be added again. */
  readonly fail = new Prioq();
  readonly #reserved = new Map<MessId, Place>();
  /** Held while a delivery of theirs was under way: what comes back of them is held. */
  readonly #holding = new Set<MessId>();
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
          if (context.held(id)) this.#holding.add(id);
          // What could not be looked at must still be known as held when it can.
          if (this.#add(id, channels, now())) this.#holding.delete(id);
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
      if (!records[channel]) continue;
      if (retry[channel] > now) this.later(channel, id, retry[channel]);
      else this.insert(channel, id, retry[channel]);
    }
    if (CHANNELS.every((channel) => records[channel] === "")) this.finished(id, now);
  }

  /** `channel` of the message is to be tried at `time`; `saved` when its file says so. */
  insert(channel: Channel, id: MessId, time: number, saved = false): void {
    const place = this.#reserved.get(id);
    if (place) place.due[channel] = { time, saved };
    else (this.#holding.has(id) ? this.held : this.channel)[channel].insert(id, time, saved);
  }

  /**
   * As `insert` for a message that was deferred. Its file says so at once (C qmail: at exit): so a start
   * after a crash keeps the time, and who looks into the queue sees it.
   */
  later(channel: Channel, id: MessId, time: number): void {
    let saved = true;
    try {
      this.#files.setRetry(channel, id, time);
    } catch {
      // Tried again at exit, with a warning.
      saved = false;
    }
    this.insert(channel, id, time, saved);
  }

  /** Nothing is left to be delivered of the message: it is to be ended at `time`. */
  finished(id: MessId, time: number): void {
    this.#holding.delete(id);
    const place = this.#reserved.get(id);
    if (place) place.done = time;
    else this.done.insert(id, time);
  }

  /** Takes the messages out, until `putBack` or `drop`: nothing new of them is begun. One look at the whole for all. */
  reserve(ids: readonly MessId[], parking: Parking, now: number): void {
    const set = new IdSet(ids);
    for (const id of ids) {
      const held = this.#holding.delete(id);
      this.#reserved.set(id, { due: {}, done: null, fail: false, held });
    }
    for (const channel of CHANNELS) {
      for (const { id, time, saved } of this.channel[channel].take(set)) {
        this.place(id).due[channel] = { time, saved };
      }
      for (const { id, time, saved } of this.held[channel].take(set)) {
        this.place(id).due[channel] = { time, saved };
        this.place(id).held = true;
      }
      for (const id of parking[channel].take(set)) {
        this.place(id).due[channel] = { time: now, saved: false };
      }
      for (const id of ids) parking[channel].forget(id);
    }
    for (const { id, time } of this.done.take(set)) this.place(id).done = time;
    for (const { id } of this.fail.take(set)) this.place(id).fail = true;
  }

  isReserved(id: MessId): boolean {
    return this.#reserved.has(id);
  }

  /** True for a message that must not wait anywhere but here: reserved, or held while it is tried. */
  isAside(id: MessId): boolean {
    return this.#reserved.has(id) || this.#holding.has(id);
  }

  /** What a reserved message has to do; may be changed. */
  place(id: MessId): Place {
    return this.#reserved.get(id) as Place;
  }

  /** The end of a reservation: the message goes on where its place says. `busy`: more of it comes back later. */
  putBack(id: MessId, now: number, busy: boolean): void {
    const { due, done, fail, held } = this.place(id);
    this.#reserved.delete(id);
    if (held) this.#holding.add(id);
    for (const channel of CHANNELS) {
      const { time, saved } = due[channel] ?? {};
      if (time !== undefined) this.insert(channel, id, time, saved);
    }
    if (done !== null) this.finished(id, done);
    if (fail) this.fail.insert(id, now);
    if (!busy && !fail) this.#holding.delete(id);
  }

  /** The end of a reservation of which nothing goes on. */
  drop(id: MessId): void {
    this.#reserved.delete(id);
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
      this.#save(channel, this.channel[channel]);
      this.#save(channel, this.held[channel]);
    }
  }

  #save(channel: Channel, queue: Prioq): void {
    for (const [id, time] of queue.unsaved()) {
      try {
        this.#files.setRetry(channel, id, time);
      } catch {
        const name = fmtqfn(channel, id);
        this.#log(log.warning(`unable to utime ${name}; message will be retried too soon`));
      }
    }
  }

  /** A message whose files lie in the queue, those of `channels` perhaps; its times are theirs. False on trouble. */
  #add(id: MessId, channels: readonly Channel[], now: number): boolean {
    try {
      const times = channels.map((channel) => this.#files.mtime(channel, id));
      for (const [at, channel] of channels.entries()) {
        const time = times[at];
        if (typeof time === "number") {
          const due = Math.min(time > now + LATEST_SECONDS ? now : time, this.#latest);
          this.insert(channel, id, due, due === time);
        }
      }
      if (times.every((time) => time === null)) this.finished(id, now);
      return true;
    } catch (error) {
      this.#failed(id, now, error);
      return false;
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
