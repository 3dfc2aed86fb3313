/**
 * One channel's way through its messages: which recipient is tried next (C qmail: pass_*, job_*).
 *
 * Messages straight from todo and messages with files take turns, so neither starves the other.
 */

import { unlinkSync } from "node:fs";
import { fmtqfn, type MessId } from "../queue/fmtqfn.ts";
import type { Status } from "../spawn/report.ts";
import type { Deliveries } from "./delivery.ts";
import { domainOf, type Holds } from "./holds.ts";
import * as log from "./log.ts";
import { CHANNELS, type Channel } from "./log.ts";
import type { QueueFiles } from "./queue-files.ts";
import { type Recipient, RecipientFile } from "./recipient-file.ts";
import { nextRetry } from "./retry.ts";
import { type Schedule, SLEEP_SYSFAIL } from "./schedule.ts";

/** A message with its file on one channel, from the first recipient tried to the last report. */
interface Job {
  readonly id: MessId;
  /** Which message of that number (queue/made.ts). */
  readonly made: number;
  readonly sender: string;
  /** When the message is tried again if something stays to be done. */
  retry: number;
  readonly dying: boolean;
  readonly file: RecipientFile;
  /** The pass itself and each delivery under way. */
  refs: number;
  /** Recipients seen that are not done. */
  numtodo: number;
  hitEof: boolean;
  /** The domains to be tried; null: all. */
  readonly only: ReadonlySet<string> | null;
  /** Domains whose recipients were left out because they are held. */
  readonly left: Set<string>;
  /** Something stays to be done that is not for the domains left out. */
  deferred: boolean;
  /** Recipients were not looked at because the message is wanted for something else. */
  cut: boolean;
  /** Who waits for the end of what is under way. */
  readonly ended: (() => void)[];
}

/** So many recipients that cannot be tried now are looked at in one turn. */
const LOOKS = 1000;

export interface PassContext {
  readonly files: QueueFiles;
  readonly schedule: Schedule;
  readonly deliveries: Deliveries;
  readonly holds: Holds<unknown>;
  readonly log: (line: string) => void;
  /** Seconds since 1970. */
  readonly now: () => number;
  /** Seconds after which a message is tried for the last time. */
  readonly lifetime: number;
  /** The other source of deliveries: starts one of `channel` from memory; false when there is none. */
  startStraight(channel: Channel): boolean;
  /** Adds to the bounce of `id`; the recipient is only marked done when that has happened. */
  addBounce(id: MessId, recipient: string, report: string): Promise<void>;
  /** Something was put into the schedule outside of `run`, or `run` has more to look at: another turn is wanted. */
  changed(): void;
}

export class Pass {
  readonly #context: PassContext;
  readonly #channel: Channel;
  #job: Job | null = null;
  readonly #jobs = new Map<MessId, Job>();
  #straightFirst = true;
  #resumedFirst = true;
  #looks = 0;

  constructor(context: PassContext, channel: Channel) {
    this.#context = context;
    this.#channel = channel;
  }

  /** Starts as many deliveries as there is room for. */
  run(now: number): void {
    const { deliveries, startStraight } = this.#context;
    this.#looks = 0;
    while (deliveries.available(this.#channel)) {
      this.#straightFirst = !this.#straightFirst;
      const started = this.#straightFirst
        ? startStraight(this.#channel) || this.#fromFile(now)
        : this.#fromFile(now) || startStraight(this.#channel);
      if (!started) return;
    }
  }

  /** True while a delivery of `id` is under way, or about to be. */
  isTrying(id: MessId): boolean {
    return this.#jobs.has(id);
  }

  /**
   * Begins no more of `id` than is under way. Resolves when that has ended; undefined when nothing is.
   * What stays to be done is in the schedule then, due at once.
   */
  cut(id: MessId): Promise<void> | undefined {
    const job = this.#jobs.get(id);
    if (!job) return undefined;
    const ended = new Promise<void>((resolve) => job.ended.push(resolve));
    if (job === this.#job) {
      this.#job = null;
      job.cut = true;
      this.#release(job);
    }
    return ended;
  }

  /** Starts the next recipient that lies in a file; false when nothing is due. */
  #fromFile(now: number): boolean {
    for (;;) {
      if (this.#looks >= LOOKS) {
        this.#context.changed();
        return false;
      }
      this.#job ??= this.#nextJob(now);
      const job = this.#job;
      if (!job) return false;
      const recipient = this.#nextRecipient(job);
      if (recipient === "later") continue;
      if (recipient) {
        this.#start(job, recipient);
        return true;
      }
      this.#job = null;
      this.#looks++;
      this.#release(job);
    }
  }

  #nextJob(now: number): Job | null {
    const { deliveries } = this.#context;
    if (this.#jobs.size >= deliveries.limit(this.#channel)) return null;
    this.#resumedFirst = !this.#resumedFirst;
    return this.#resumedFirst
      ? (this.#resumedJob(now) ?? this.#dueJob(now))
      : (this.#dueJob(now) ?? this.#resumedJob(now));
  }

  #dueJob(now: number): Job | null {
    const { schedule, holds } = this.#context;
    const due = schedule.channel[this.#channel];
    while (due.minTime <= now) {
      const id = due.shift() as MessId;
      holds.forget(id);
      const job = this.#open(id, now, {});
      if (job) return job;
    }
    return null;
  }

  /** A message that waited for a domain that is free again. */
  #resumedJob(now: number): Job | null {
    const { schedule, holds } = this.#context;
    for (let resumed = holds.nextMessage(); resumed; resumed = holds.nextMessage()) {
      const { id } = resumed;
      if (resumed.type === "listed") schedule.channel[this.#channel].remove(id);
      const limits =
        resumed.type === "listed"
          ? { only: resumed.free, left: new Set(resumed.held), retry: resumed.retry }
          : {};
      const job = this.#open(id, now, limits);
      if (job) return job;
    }
    return null;
  }

  #open(
    id: MessId,
    now: number,
    limits: Partial<Pick<Job, "only" | "left" | "retry">>,
  ): Job | null {
    const { files, schedule, lifetime } = this.#context;
    try {
      // One that is tried already would be forgotten over this.
      const info = this.#jobs.has(id) ? null : files.info(id);
      const made = files.made(id);
      if (!info || made === null) throw new Error("not a message");
      const { sender, birth } = info;
      const file = new RecipientFile(files.path(this.#channel, id));
      const job: Job = {
        id,
        made,
        sender,
        retry: nextRetry(birth, this.#channel, now),
        dying: now > birth + lifetime,
        file,
        refs: 1,
        numtodo: 0,
        hitEof: false,
        only: null,
        left: new Set(),
        // Of a message that was listed the rest has its time.
        deferred: limits.only !== undefined,
        cut: false,
        ended: [],
        ...limits,
      };
      this.#jobs.set(id, job);
      return job;
    } catch {
      this.#warn("trouble opening", id);
      schedule.insert(this.#channel, id, now + SLEEP_SYSFAIL);
      return null;
    }
  }

  /** The next recipient to be done; null at the end of the file or on trouble; "later" when enough was looked at. */
  #nextRecipient(job: Job): Recipient | null | "later" {
    try {
      for (; this.#looks < LOOKS; this.#looks++) {
        const recipient = job.file.next();
        if (!recipient) {
          job.hitEof = true;
          return null;
        }
        if (recipient.mark === "T" && this.#mayStart(job, recipient)) return recipient;
        if (recipient.mark !== "D" && recipient.mark !== "T") {
          const name = fmtqfn(this.#channel, job.id);
          this.#context.log(log.warning(`unknown record type in ${name}!`));
          return null;
        }
      }
      return "later";
    } catch {
      this.#warn("trouble reading", job.id);
      return null;
    }
  }

  /** Whether the recipient is tried now; noted when not. */
  #mayStart(job: Job, { address }: Recipient): boolean {
    const held = this.#context.holds.heldDomain(address);
    if (held === null && (job.only === null || job.only.has(domainOf(address)))) return true;
    job.numtodo++;
    if (held !== null && (job.only === null || job.only.has(held))) job.left.add(held);
    return false;
  }

  #start(job: Job, { address, position }: Recipient): void {
    job.refs++;
    job.numtodo++;
    this.#context.deliveries.start(this.#channel, {
      id: job.id,
      made: job.made,
      sender: job.sender,
      recipient: address,
      dying: job.dying,
      done: (status, text) => void this.#done(job, { address, position, status, text }),
    });
  }

  async #done(
    job: Job,
    result: { address: string; position: number; status: Status; text: string },
  ): Promise<void> {
    const { status, address, text, position } = result;
    if (status === "D") await this.#context.addBounce(job.id, address, text);
    if (status === "Z") job.deferred = true;
    else {
      job.numtodo--;
      try {
        job.file.markDone(position);
      } catch {
        const name = fmtqfn(this.#channel, job.id);
        this.#context.log(log.warning(`trouble marking ${name}; message will be delivered twice!`));
      }
    }
    this.#release(job);
  }

  /** One holder less; the last one decides what becomes of the message (C qmail: job_close). */
  #release(job: Job): void {
    if (--job.refs > 0) return;
    this.#context.changed();
    this.#jobs.delete(job.id);
    job.file.close();
    if (!this.#finish(job)) this.#again(job);
    for (const resolve of job.ended) resolve();
  }

  /** When everybody is done the file goes. False: something stays, or the file did. */
  #finish(job: Job): boolean {
    const { files, schedule, now } = this.#context;
    if (!job.hitEof || job.numtodo > 0) return false;
    try {
      unlinkSync(files.path(this.#channel, job.id));
    } catch {
      this.#warn("unable to unlink", job.id);
      job.retry = now() + SLEEP_SYSFAIL;
      return false;
    }
    if (!this.#otherChannelOpen(job.id)) schedule.finished(job.id, now());
    return true;
  }

  #again(job: Job): void {
    const { schedule, now } = this.#context;
    const aside = schedule.isAside(job.id);
    if (job.hitEof && job.left.size > 0 && !aside) this.#park(job);
    else {
      const early = job.cut || (aside && job.left.size > 0);
      if (early) schedule.insert(this.#channel, job.id, now());
      else schedule.later(this.#channel, job.id, job.retry);
    }
  }

  /** Recipients were left out whose domains are held: they come when these are free. */
  #park({ id, retry, left, deferred }: Job): void {
    const { schedule, holds } = this.#context;
    const [first] = left;
    if (left.size === 1 && !deferred && first !== undefined) {
      holds.park(id, first);
      return;
    }
    schedule.later(this.#channel, id, retry);
    holds.list(id, retry, left);
  }

  #otherChannelOpen(id: MessId): boolean {
    const other = CHANNELS.find((channel) => channel !== this.#channel) as Channel;
    try {
      return this.#context.files.mtime(other, id) !== null;
    } catch {
      this.#context.log(log.warning(`unable to stat ${fmtqfn(other, id)}`));
      return false;
    }
  }

  #warn(what: string, id: MessId): void {
    const name = fmtqfn(this.#channel, id);
    this.#context.log(log.warning(`${what} ${name}; will try again later`));
  }
}
