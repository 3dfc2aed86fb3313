/**
 * Actions on messages while mail flows: each waits until nothing of its message is under way, and then
 * has the message to itself.
 *
 *   submitted ─> reserved ─> quiet ─> acted upon ─> put back into the schedule
 *                  │  ^        what is under way ends, what is in todo is written down;
 *                  └──┘        after the time that the asker gives: "busy", and it goes on
 *
 * A slice a turn, so that a hundred thousand of them hold no delivery up.
 */

import type { MessId } from "../queue/fmtqfn.ts";
import type { HeldFile } from "../queue/held.ts";
import { FRAME } from "../queue/protocol.ts";
import type { Action, Target, Verdict } from "./action.ts";
import type { Ending } from "./ending.ts";
import { Fifo } from "./fifo.ts";
import { domainOf, type Holds } from "./holds.ts";
import * as log from "./log.ts";
import { CHANNELS, type Channel } from "./log.ts";
import type { Pass } from "./pass.ts";
import { QueueActions, type Result } from "./queue-actions.ts";
import type { QueueFiles } from "./queue-files.ts";
import type { Removals } from "./removals.ts";
import type { RewriteTables, Rewritten } from "./rewrite.ts";
import type { Schedule } from "./schedule.ts";
import type { Settling } from "./settling.ts";
import type { StraightDelivery, StraightQueue } from "./straight.ts";
import type { Todo } from "./todo.ts";

/** So long a slice may hold everything else up. */
const SLICE_MS = 5;
/** So many messages are looked for in the schedule together. */
const BATCH = 200;
/** So many are acted upon at once: those that wait for the disk share its syncs. */
const ACTING_MAX = 1000;

export interface Order {
  readonly action: Action;
  readonly target: Target;
  /** Milliseconds that it may wait for what is under way. */
  readonly patience: number;
  /** Called once. */
  answer(verdict: Verdict): void;
}

interface Work extends Order {
  /** When it is given up, by `performance.now()`. */
  readonly deadline: number;
  /** Called when another may have the message. */
  release(): void;
  /** It was taken from todo for this. */
  taken: boolean;
  reserved: boolean;
}

export interface ActionQueueContext {
  readonly files: QueueFiles;
  readonly schedule: Schedule;
  readonly passes: Readonly<Record<Channel, Pass>>;
  readonly holds: Readonly<Record<Channel, Holds<StraightDelivery>>>;
  readonly straight: StraightQueue;
  readonly settling: Settling;
  readonly ending: Ending;
  readonly removals: Removals;
  readonly todo: Todo;
  readonly held: HeldFile;
  readonly lifetime: number;
  readonly log: (line: string) => void;
  readonly now: () => number;
  tables(): RewriteTables;
  /** Has the spawner forget what is known against a domain. */
  flush(domain: string): void;
  /** Another turn is wanted. */
  changed(): void;
}

/** What must end before, or that nothing must; stuck: it stays in todo. */
type State = "quiet" | "gone" | "stuck" | Promise<unknown>;

const GONE: Verdict = { outcome: "gone" };
const BUSY: Verdict = { outcome: "busy" };

export class ActionQueue {
  readonly #context: ActionQueueContext;
  readonly #files: QueueActions;
  readonly #pending = new Fifo<Work>();
  /** Messages that are waited for or acted upon; resolved when another may. */
  readonly #claimed = new Map<MessId, Promise<void>>();
  #acting = 0;
  #leaving = false;
  readonly #left = Promise.withResolvers<void>();

  constructor(context: ActionQueueContext) {
    this.#context = context;
    this.#files = new QueueActions({
      files: context.files,
      log: context.log,
      now: context.now,
      lifetime: context.lifetime,
      tables: context.tables,
      clean: (message) => {
        // The number may be another message's before we hear that this one is gone.
        context.schedule.drop(message.id);
        return context.removals.remove(FRAME.cleanMess, message).tried;
      },
    });
  }

  submit(order: Order): void {
    if (this.#leaving) {
      order.answer(BUSY);
      return;
    }
    const deadline = performance.now() + order.patience;
    this.#pending.push({ ...order, deadline, release() {}, taken: false, reserved: false });
    this.#context.changed();
  }

  /** True while `id` is waited for or acted upon. */
  has(id: MessId): boolean {
    return this.#claimed.has(id);
  }

  /** A slice of what waits. */
  run(): void {
    const until = performance.now() + SLICE_MS;
    while (!this.#pending.empty && this.#acting < ACTING_MAX && performance.now() < until) {
      this.#batch();
    }
    if (!this.#pending.empty && this.#acting < ACTING_MAX) this.#context.changed();
  }

  /** Begins nothing more. Resolves when what was begun is finished, and everybody has an answer. */
  async leave(): Promise<void> {
    this.#leaving = true;
    this.#left.resolve();
    for (let work = this.#pending.shift(); work; work = this.#pending.shift()) this.#giveUp(work);
    await Promise.all(this.#claimed.values());
  }

  #batch(): void {
    const { schedule, holds, now } = this.#context;
    const works: Work[] = [];
    const fresh: MessId[] = [];
    while (works.length < BATCH) {
      const work = this.#pending.shift();
      if (!work) break;
      if (!work.reserved && !this.#claim(work)) continue;
      works.push(work);
      if (!work.reserved) fresh.push(work.target.id);
      work.reserved = true;
    }
    if (fresh.length > 0) schedule.reserve(fresh, holds, now());
    for (const work of works) this.#go(work);
  }

  /** Makes the message this work's own; false when it has got its answer, or waits for another's end. */
  #claim(work: Work): boolean {
    const { id, made } = work.target;
    const other = this.#claimed.get(id);
    if (other) {
      void this.#wait(work, other);
      return false;
    }
    if (this.#madeOf(id) !== made) {
      work.answer(GONE);
      return false;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#claimed.set(id, promise);
    work.release = resolve;
    return true;
  }

  #madeOf(id: MessId): number | null {
    try {
      return this.#context.files.made(id);
    } catch {
      return null;
    }
  }

  #go(work: Work): void {
    let state: State;
    try {
      state = this.#look(work);
    } catch (error) {
      this.#end(work, refused(error));
      return;
    }
    if (state === "quiet") void this.#act(work);
    else if (state === "gone") this.#end(work, GONE);
    else if (state === "stuck") this.#end(work, refused(new Error("it cannot be taken from todo")));
    else void this.#wait(work, state);
  }

  /** Whether the message can be acted upon, or what must end before. */
  #look(work: Work): State {
    const { files, settling, ending, removals, straight, todo, passes } = this.#context;
    const { action, target } = work;
    const { id, made } = target;
    // It may have ended while this waited, and another have its number.
    if (this.#madeOf(id) !== made) return "gone";
    const ends = settling.of(id) ?? ending.of(id);
    if (ends) return ends;
    if (removals.has(id)) return "gone";
    if (settling.has(id)) {
      if (work.taken) return "stuck";
      work.taken = true;
      return settling.again(id) ?? "gone";
    }
    if (straight.has(id)) {
      const atOnce = action.type === "retry" && !straight.isDeferred(id);
      return atOnce ? "quiet" : straight.withdraw(id);
    }
    if (files.mtime("todo", id) !== null) {
      if (work.taken) return "stuck";
      work.taken = true;
      return todo.takeNow(id);
    }
    if (files.mtime("info", id) === null) return "gone";
    // What is under way goes on; these say what becomes of it afterwards.
    if (action.type === "hold" || action.type === "release" || action.type === "retry") {
      if (action.type === "hold") for (const channel of CHANNELS) void passes[channel].cut(id);
      return "quiet";
    }
    const underWay = CHANNELS.map((channel) => passes[channel].cut(id)).filter(Boolean);
    return underWay.length > 0 ? Promise.all(underWay) : "quiet";
  }

  /** Comes again when `ended`, or gives up. */
  async #wait(work: Work, ended: Promise<unknown>): Promise<void> {
    const timer = Promise.withResolvers<void>();
    const timeout = setTimeout(timer.resolve, Math.max(0, work.deadline - performance.now()));
    let over = false;
    await Promise.race([ended.then(() => (over = true)), timer.promise, this.#left.promise]);
    clearTimeout(timeout);
    if (!over || this.#leaving) {
      this.#giveUp(work);
      return;
    }
    this.#pending.push(work);
    this.#context.changed();
  }

  #giveUp(work: Work): void {
    if (work.reserved) this.#end(work, BUSY);
    else work.answer(BUSY);
  }

  async #act(work: Work): Promise<void> {
    this.#acting++;
    let verdict: Verdict;
    try {
      verdict = await this.#do(work);
    } catch (error) {
      verdict = refused(error);
    }
    this.#acting--;
    this.#end(work, verdict);
  }

  /** The message goes on, and the next action on it may begin. */
  #end(work: Work, verdict: Verdict): void {
    const { schedule, passes, now, changed } = this.#context;
    const { id } = work.target;
    if (schedule.isReserved(id)) {
      schedule.putBack(
        id,
        now(),
        CHANNELS.some((channel) => passes[channel].isTrying(id)),
      );
    }
    this.#claimed.delete(id);
    work.release();
    work.answer(verdict);
    changed();
  }

  async #do({ action, target }: Work): Promise<Verdict> {
    switch (action.type) {
      case "hold":
        return this.#hold(target);
      case "release":
        return this.#release(target);
      case "retry":
        return this.#retry(target.id);
      default: {
        const { held } = this.#context.schedule.place(target.id);
        const result = await this.#files.act(action, target);
        if (!result.ended) this.#change(result, target.id);
        // Only to keep the file short: another message with this number is not held.
        if (held && (result.ended || result.open?.length === 0)) void this.#unhold(target);
        return result.verdict;
      }
    }
  }

  /** Brings the schedule in line with the files. */
  #change({ open, due }: Result, id: MessId): void {
    const { schedule, now } = this.#context;
    const place = schedule.place(id);
    // What could not be looked at is scheduled by its files.
    if (!open || place.fail) return;
    for (const channel of CHANNELS) if (!open.includes(channel)) delete place.due[channel];
    for (const channel of due ?? []) place.due[channel] = { time: now(), saved: false };
    if (open.length > 0) return;
    place.done = now();
    place.held = false;
  }

  #unhold({ id, made }: Target): Promise<void> {
    return this.#context.held.release([[id, made]]).catch(() => {});
  }

  async #hold({ id, made }: Target): Promise<Verdict> {
    const { schedule, held } = this.#context;
    const undone = this.#files.undone(id).length;
    if (undone === 0) return GONE;
    if (!schedule.place(id).held) {
      await held.hold([[id, made]]);
      schedule.place(id).held = true;
      this.#context.log(log.action(id, "hold", undone));
    }
    return { outcome: "done", recipients: undone };
  }

  async #release({ id, made }: Target): Promise<Verdict> {
    const { schedule, held } = this.#context;
    if (!schedule.place(id).held) return { outcome: "refused", reason: "it is not held" };
    await held.release([[id, made]]);
    schedule.place(id).held = false;
    const undone = this.#files.undone(id).length;
    this.#context.log(log.action(id, "release", undone));
    return { outcome: "done", recipients: undone };
  }

  #retry(id: MessId): Verdict {
    const { schedule, straight, now } = this.#context;
    const place = schedule.place(id);
    if (place.held) return { outcome: "refused", reason: "it is held: release it first" };
    const undone = straight.has(id) ? straight.recipients(id) : this.#files.undone(id);
    for (const channel of CHANNELS) {
      if (place.due[channel]) place.due[channel] = { time: now(), saved: false };
    }
    if (place.done !== null) place.done = now();
    this.#free(undone);
    this.#context.log(log.action(id, "retry", undone.length));
    return { outcome: "done", recipients: undone.length };
  }

  /** Nothing that is known against these domains counts any more. */
  #free(recipients: readonly Rewritten[]): void {
    const { holds, flush } = this.#context;
    for (const { channel, address } of recipients) holds[channel].free(domainOf(address));
    const remote = recipients.filter(({ channel }) => channel === "remote");
    for (const domain of new Set(remote.map(({ address }) => domainOf(address)))) flush(domain);
  }
}

function refused(error: unknown): Verdict {
  return { outcome: "refused", reason: (error as Error).message };
}
