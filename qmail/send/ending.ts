/** How a message ends: the bounce if there is one, then its files (C qmail: messdone, injectbounce, addbounce). */

import { setTimeout as sleep } from "node:timers/promises";
import { QQ } from "../exit.ts";
import { fmtqfn, type MessId } from "../queue/fmtqfn.ts";
import { FRAME } from "../queue/protocol.ts";
import type { QueueResult } from "../queue/qmail.ts";
import { type BounceOptions, bounceEntry, bounceSender, injectBounce } from "./bounce.ts";
import { pieces } from "./bounce-parts.ts";
import * as log from "./log.ts";
import { CHANNELS } from "./log.ts";
import type { QueueClerk } from "./queue-clerk.ts";
import type { Info, QueueFiles } from "./queue-files.ts";
import type { Removals } from "./removals.ts";
import type { RewriteTables } from "./rewrite.ts";
import { SLEEP_SYSFAIL } from "./schedule.ts";

/** Trouble with the disk while a failure must be noted: tried again after this time. */
const HELP_MS = 10_000;

export interface EndingContext {
  readonly files: QueueFiles;
  readonly clerk: QueueClerk;
  readonly removals: Removals;
  readonly log: (line: string) => void;
  readonly now: () => number;
  bounces(): BounceOptions;
  tables(): RewriteTables;
}

export class Ending {
  readonly #context: EndingContext;
  readonly #busy = new Set<Promise<unknown>>();
  readonly #ending = new Map<MessId, Promise<unknown>>();

  constructor(context: EndingContext) {
    this.#context = context;
  }

  /** Resolves when nothing that was begun is under way. */
  async idle(): Promise<void> {
    while (this.#busy.size > 0) await Promise.all(this.#busy);
  }

  /** Notes the failure of `recipient` for the bounce of `id`; goes on trying until it is noted. */
  addBounce(id: MessId, recipient: string, report: string): Promise<void> {
    return this.#track(this.#addBounce(id, recipient, report));
  }

  /** Ends `id` when nothing is left to do. Resolves with the time to try again, or 0 when it is settled. */
  end(id: MessId): Promise<number> {
    return this.#enter(id, this.#end(id));
  }

  /** Queues the bounce `text` of a message that has no files of ours. False when that failed. */
  bounce(id: MessId, info: Info, text: string): Promise<boolean> {
    const parts = [Buffer.from(text, "latin1")];
    return this.#enter(
      id,
      this.#inject(id, info, () => parts),
    );
  }

  /** True while `id` is being ended, or bounced. */
  has(id: MessId): boolean {
    return this.#ending.has(id);
  }

  /** Resolves when that is over; undefined when it is not so. */
  of(id: MessId): Promise<unknown> | undefined {
    return this.#ending.get(id);
  }

  #enter<T>(id: MessId, work: Promise<T>): Promise<T> {
    const entered = this.#track(
      work.finally(() => {
        if (this.#ending.get(id) === entered) this.#ending.delete(id);
      }),
    );
    this.#ending.set(id, entered);
    return entered;
  }

  #track<T>(work: Promise<T>): Promise<T> {
    const tracked = work.finally(() => this.#busy.delete(tracked));
    this.#busy.add(tracked);
    return tracked;
  }

  async #addBounce(id: MessId, recipient: string, report: string): Promise<void> {
    const { files, tables, log: write } = this.#context;
    const text = bounceEntry(tables(), recipient, report);
    for (;;) {
      try {
        await files.appendBounce(id, text);
        return;
      } catch {
        write(log.alert("unable to append to bounce message; HELP! sleeping..."));
        await sleep(HELP_MS);
      }
    }
  }

  async #end(id: MessId): Promise<number> {
    const { files, removals, log: write, now } = this.#context;
    const again = () => now() + SLEEP_SYSFAIL;
    let made: number | null;
    try {
      made = files.made(id);
      // False alarms: another channel still has work, or the message is still in todo.
      for (const directory of [...CHANNELS, "todo"] as const) {
        if (files.mtime(directory, id) !== null) return 0;
      }
      if (files.mtime("info", id) === null) return 0;
    } catch (error) {
      write(log.warning(`${(error as Error).message}; will try again later`));
      return again();
    }
    if (!(await this.#bounceFile(id))) return again();
    write(log.endMsg(id));
    try {
      await files.unlinkInfo(id);
    } catch {
      write(log.warning(`unable to unlink ${fmtqfn("info", id)}; will try again later`));
      return again();
    }
    // Without its text there is nothing left.
    if (made !== null) await removals.remove(FRAME.cleanMess, { id, made }).tried;
    return 0;
  }

  /** Sends the bounce in bounce/ID, if there is one. False: try again later. */
  async #bounceFile(id: MessId): Promise<boolean> {
    const { files, log: write } = this.#context;
    const path = fmtqfn("bounce", id);
    try {
      files.mendBounce(id);
      if (files.mtime("bounce", id) === null) return true;
    } catch (error) {
      write(log.warning((error as Error).message));
      return false;
    }
    const info = this.#info(id);
    if (!info || !(await this.#inject(id, info, () => pieces(files.path("bounce", id)))))
      return false;
    try {
      files.unlink("bounce", id);
      return true;
    } catch {
      write(log.warning(`unable to unlink ${path}`));
      return false;
    }
  }

  /** What info/ID says; null when there is none, or on trouble, which is logged. */
  #info(id: MessId): Info | null {
    try {
      return this.#context.files.info(id);
    } catch {
      this.#context.log(log.INJECT_TROUBLE);
      return null;
    }
  }

  /** Queues the bounce, or throws away a triple one. False when it could not be queued. */
  async #inject(id: MessId, info: Info, text: () => Iterable<Buffer>): Promise<boolean> {
    const { files, clerk, log: write, bounces, now } = this.#context;
    let result: QueueResult | null;
    try {
      const options = bounces();
      const bounce = {
        sender: bounceSender(info.sender),
        names: options,
        now: now(),
        birth: info.birth,
        text,
        messPath: files.path("mess", id),
      };
      result = await injectBounce(clerk.message(), bounce, options);
    } catch {
      write(log.INJECT_TROUBLE);
      return false;
    }
    if (!result) write(log.tripleBounce(fmtqfn("bounce", id)));
    else if (result.ok) write(log.bounceMsg(id, result.qp));
    else write(result.code === QQ.cannotExec ? log.INJECT_NO_START : log.INJECT_TROUBLE);
    return result === null || result.ok;
  }
}
