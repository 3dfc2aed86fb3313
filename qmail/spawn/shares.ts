/**
 * Whose local deliveries take the slots (concurrencylocal). A user alone may have all of them. But when all are taken,
 * who has more than his share, half of them, and holds one for longer than a moment, holds it no longer: qmail-send is
 * told that the delivery waits (SPAWN.waits), and gives its slot to the next. What comes then of that user
 * waits here for its turn, in order, and holds no slot either, up to a number; what is beyond that number, and has
 * waited for a while, is put off.
 *
 * So one uid's programs that sleep, and locks that are never released, keep a slot from others for a second, not for as
 * long as they like; and as long as all goes on its way nobody is told anything.
 */

import type { Report } from "./report.ts";
import { WAITING_EACH, Waiting } from "./waiting.ts";

/** Who has more than his share holds a slot so long while all are taken, in milliseconds. */
export const STALL_MS = 1000;
/** Who waits for his turn and holds a slot is put off after this time, in milliseconds. */
export const PATIENCE_MS = 3000;

const PUT_OFF: Report = {
  status: "Z",
  text: "Too many deliveries of this user are under way. (#4.3.2)\n",
};
const LEAVING: Report = { status: "Z", text: "The mail system is being stopped. (#4.3.0)\n" };

/** A delivery that wants its turn. */
export interface Turn {
  /** Its turn has come; `place.end` is to be called when it is over. */
  start(place: Place): void;
  /** It will have no turn; nothing more is to be called. */
  refuse(report: Report): void;
  /** It takes no slot from now on, or takes one again. */
  waits(waits: boolean): void;
}

/** A delivery that has its turn. */
export interface Place {
  /** It waits for something of its own user's, or goes on. */
  blocked(blocked: boolean): void;
  end(): void;
}

export interface SharesOptions {
  /** True when all deliveries are one user's: then there is nobody to share with. */
  readonly alone?: boolean;
  /** Milliseconds, of a clock that nobody sets. */
  readonly now?: () => number;
}

/** The deliveries of one uid. */
interface Share {
  readonly uid: number;
  /** Wait for their turn, in order. */
  readonly queue: Set<Seat>;
  /** Have their turn, the first begun first; `running` of them are not blocked. */
  readonly begun: Set<Seat>;
  running: number;
  /** How many lend their slots. */
  lent: number;
  readonly waiting: Waiting;
  /** One was put off, and as many wait as may since then: there is no hope for more. */
  stuck: boolean;
}

interface Seat {
  readonly share: Share;
  readonly id: number;
  readonly turn: Turn;
  /** Since when it waits, or has its turn. */
  since: number;
  blocked: boolean;
  /** Takes no slot since it waits (`Waiting`), or since its user has more than his share. */
  passed: boolean;
  lent: boolean;
}

export class Shares {
  readonly #alone: boolean;
  readonly #now: () => number;
  readonly #shares = new Map<number, Share>();
  readonly #queued = new Set<Share>();
  readonly #seats = new Map<number, Seat>();
  #limit = Number.POSITIVE_INFINITY;
  #running = 0;
  /** How many take no slot. */
  #slotless = 0;
  #lastId = 0;
  #timer: NodeJS.Timeout | null = null;
  #leaving = false;

  constructor({ alone = false, now = () => performance.now() }: SharesOptions = {}) {
    this.#alone = alone;
    this.#now = now;
  }

  /** So many deliveries take slots at once. */
  set limit(limit: number) {
    this.#limit = limit;
  }

  /** Gives `turn` its turn among those of `uid`: now, or later. */
  enter(uid: number, turn: Turn): void {
    const share = this.#share(uid);
    const seat: Seat = {
      share,
      id: ++this.#lastId,
      turn,
      since: this.#now(),
      blocked: false,
      passed: false,
      lent: false,
    };
    this.#seats.set(seat.id, seat);
    if (share.queue.size === 0 && this.#hasRoom(share)) this.#begin(seat);
    else this.#enqueue(seat);
    this.#watch();
  }

  /** Nothing more will come: nobody waits for his turn any more. */
  leave(): void {
    this.#leaving = true;
    for (const { queue } of [...this.#queued]) {
      for (const seat of [...queue]) this.#refuse(seat, LEAVING);
    }
  }

  #share(uid: number): Share {
    let share = this.#shares.get(uid);
    if (!share) {
      const waiting = new Waiting((id, passed) => this.#pass(this.#seats.get(id), passed));
      share = {
        uid,
        queue: new Set(),
        begun: new Set(),
        running: 0,
        lent: 0,
        waiting,
        stuck: false,
      };
      this.#shares.set(uid, share);
    }
    return share;
  }

  /** What one uid may have while others want to have theirs. */
  get #most(): number {
    return Math.max(1, Math.floor(this.#limit / 2));
  }

  #hasRoom({ begun, running }: Share): boolean {
    if (this.#alone) return true;
    if (begun.size >= this.#limit + WAITING_EACH) return false;
    return running < this.#most || this.#running < this.#limit;
  }

  #begin(seat: Seat): void {
    const { share } = seat;
    seat.since = this.#now();
    share.begun.add(seat);
    share.running++;
    this.#running++;
    seat.turn.start({
      blocked: (blocked) => this.#block(seat, blocked),
      end: () => this.#end(seat),
    });
  }

  #enqueue(seat: Seat): void {
    const { share } = seat;
    share.queue.add(seat);
    this.#queued.add(share);
    share.waiting.say(seat.id, true);
    if (seat.passed) share.stuck = false;
    if (this.#leaving) this.#refuse(seat, LEAVING);
    else if (share.stuck) this.#refuse(seat, PUT_OFF);
  }

  #block(seat: Seat, blocked: boolean): void {
    const { share } = seat;
    if (seat.blocked === blocked || !share.begun.has(seat)) return;
    seat.blocked = blocked;
    const change = blocked ? -1 : 1;
    share.running += change;
    this.#running += change;
    share.waiting.say(seat.id, blocked);
    this.#next(share);
    this.#watch();
  }

  #end(seat: Seat): void {
    const { share } = seat;
    if (!share.begun.delete(seat)) return;
    if (!seat.blocked) {
      share.running--;
      this.#running--;
    }
    this.#forget(seat);
    this.#takeBack(share);
    this.#next(share);
    this.#watch();
    if (share.begun.size === 0 && share.queue.size === 0) this.#shares.delete(share.uid);
  }

  #refuse(seat: Seat, report: Report): void {
    const { share } = seat;
    share.queue.delete(seat);
    if (share.queue.size === 0) this.#queued.delete(share);
    this.#forget(seat);
    seat.turn.refuse(report);
    if (share.begun.size === 0 && share.queue.size === 0) this.#shares.delete(share.uid);
  }

  /** A seat that is over takes no slot, and nobody has to be told. */
  #forget(seat: Seat): void {
    if (seat.passed || seat.lent) this.#slotless--;
    if (seat.lent) seat.share.lent--;
    this.#seats.delete(seat.id);
    seat.share.waiting.end(seat.id);
  }

  #pass(seat: Seat | undefined, passed: boolean): void {
    if (seat) this.#mark(seat, { passed, lent: seat.lent });
  }

  #lend(seat: Seat, lent: boolean): void {
    this.#mark(seat, { passed: seat.passed, lent });
  }

  #mark(seat: Seat, { passed, lent }: Pick<Seat, "passed" | "lent">): void {
    const before = seat.passed || seat.lent;
    seat.share.lent += Number(lent) - Number(seat.lent);
    seat.passed = passed;
    seat.lent = lent;
    const after = seat.passed || seat.lent;
    if (before === after) return;
    this.#slotless += after ? 1 : -1;
    seat.turn.waits(after);
  }

  /** Of those that lent their slots the first have them again as others of the user end. */
  #takeBack({ begun, lent }: Share): void {
    if (lent === 0) return;
    let slots = 0;
    let first: Seat | null = null;
    for (const seat of begun) {
      if (!seat.lent && !seat.passed) slots++;
      else if (seat.lent) first ??= seat;
    }
    if (first && slots < this.#most) this.#lend(first, false);
  }

  /** Begins what has room now: of `share` first, then of all in turn. */
  #next(share: Share): void {
    if (this.#queued.size === 0) return;
    for (const each of [share, ...this.#queued]) {
      while (this.#hasRoom(each)) {
        const [seat] = each.queue;
        if (!seat) break;
        each.queue.delete(seat);
        this.#begin(seat);
        if (!each.begun.has(seat)) continue;
        // It holds a slot again, or, where its user has enough of them, lends it at once.
        if (each.running > this.#most) this.#lend(seat, true);
        each.waiting.say(seat.id, seat.blocked);
      }
      if (each.queue.size === 0) this.#queued.delete(each);
    }
  }

  /** True when qmail-send has no slot left. */
  get #taken(): boolean {
    return this.#seats.size - this.#slotless >= this.#limit;
  }

  /** Looks after a while, as long as no slot is left, who holds too many. */
  #watch(): void {
    if (this.#alone || this.#timer || !this.#taken) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (!this.#taken) return;
      for (const share of [...this.#shares.values()]) this.#press(share);
      this.#watch();
    }, STALL_MS);
    this.#timer.unref();
  }

  #press(share: Share): void {
    const now = this.#now();
    const slots = [...share.begun].filter(({ passed, lent }) => !passed && !lent);
    let over = slots.length - this.#most;
    for (const seat of slots) {
      if (over <= 0) break;
      if (now - seat.since < STALL_MS) continue;
      this.#lend(seat, true);
      over--;
    }
    for (const seat of [...share.queue]) {
      if (seat.passed || now - seat.since < PATIENCE_MS) continue;
      share.stuck = true;
      this.#refuse(seat, PUT_OFF);
    }
  }
}
