/** Deaths, stalls and restarts under load, and clocks that jump. */

import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Chance } from "./chance.ts";
import type { OrderSite } from "./order-site.ts";
import { signal } from "./processes.ts";

/** Those that may be stalled while qmail-send dies, the more often the more they may do when they wake. */
const STALLED = ["qmail-queue", "qmail-queue", "qmail-lspawn", "qmail-lspawn", "qmail-local"];
/** It hangs until a successor of qmail-send has worked for up to so long, or, when there can be none, for so long. */
const WORKING_MS = 2000;
const STALL_MS = 4000;
/** One in so many hangs for this long. */
const LONG = 6;
const LONG_STALL_MS = 12_000;
/** So long after one has been stalled qmail-send ends; what it asks for meanwhile waits. */
const ORDERS_MS = 600;
/** Mail flows for up to so long between two disturbances. */
const NEXT_MS = 2000;
/** Later than what cleanup takes for garbage. */
const JUMP_MS = 40 * 3600 * 1000;

export class Disturber {
  readonly #site: OrderSite;
  readonly #chance: Chance;
  readonly #stalled: string | null;
  readonly #stalls: Promise<void>[] = [];
  #jumped = false;
  count = 0;

  /** Only `stalled` is stalled, and nothing else happens, when it is not null. */
  constructor(site: OrderSite, chance: Chance, stalled: string | null = null) {
    this.#site = site;
    this.#chance = chance;
    this.#stalled = stalled;
  }

  /** One disturbance. */
  async disturb(): Promise<void> {
    this.count++;
    const kind = this.#chance.below(100);
    if (this.#stalled !== null) await this.#stall("SIGKILL");
    else if (kind < 8) this.#killOne();
    else if (kind < 16) this.#killAll();
    else if (kind < 90) await this.#stall(kind < 76 ? "SIGKILL" : "SIGTERM");
    else this.#restart();
    await this.#site.ready();
    await sleep(1000 + this.#chance.below(NEXT_MS));
  }

  /** The clock of all processes goes ahead, or back to where it was. */
  jump(): void {
    this.#jumped = !this.#jumped;
    const offset = this.#jumped ? JUMP_MS : 0;
    this.#site.note(`the clock shows ${offset} ms more`);
    appendFileSync(this.#site.clock, `${Date.now()} ${offset}\n`);
  }

  /** Resolves when nobody is stalled any more. */
  async settle(): Promise<void> {
    await Promise.all(this.#stalls);
    if (this.#jumped) this.jump();
  }

  #killOne(): void {
    const [victim] = this.#chance.shuffle(this.#site.processes());
    if (!victim) return;
    this.#site.note(`SIGKILL ${victim.role} ${victim.pid}`);
    signal(victim.pid, "SIGKILL");
  }

  #killAll(): void {
    this.#site.note("SIGKILL all");
    for (const { pid } of this.#site.processes()) signal(pid, "SIGKILL");
  }

  #restart(): void {
    this.#site.note("SIGTERM qmail-send");
    this.#site.signalMain("SIGTERM");
  }

  /** One hangs, qmail-send ends, its successor works, and the one wakes up. */
  async #stall(end: "SIGKILL" | "SIGTERM"): Promise<void> {
    const wanted = this.#stalled ?? STALLED[this.#chance.below(STALLED.length)];
    const main = this.#site.main;
    const all = this.#site.processes();
    const own = new Set(all.filter(({ parent }) => parent === main).map(({ pid }) => pid));
    const victim = all.find(({ role, pid, parent }) => {
      return role === wanted && (own.has(pid) || own.has(parent));
    });
    if (!victim || main === undefined) return;
    this.#site.note(`SIGSTOP ${victim.role} ${victim.pid}`);
    signal(victim.pid, "SIGSTOP");
    const stalled = performance.now();
    // Deliveries that end now give orders that wait for the one that hangs.
    const waiters = this.#site.letWaitersIn();
    await sleep(ORDERS_MS / 3 + this.#chance.below(ORDERS_MS));
    this.#site.note(`${end} qmail-send ${main}`);
    if (this.#site.main === main) this.#site.signalMain(end);
    this.#stalls.push(waiters, this.#wake(victim.pid, stalled));
  }

  async #wake(pid: number, stalled: number): Promise<void> {
    // Where only that is tried a successor is hoped for.
    const long = this.#stalled !== null || this.#chance.below(LONG) === 0;
    const most = long ? LONG_STALL_MS : STALL_MS;
    const working = WORKING_MS / 2 + this.#chance.below(WORKING_MS);
    const over = sleep(stalled + most - performance.now());
    await Promise.race([this.#site.ready().then(() => sleep(working)), over]);
    // Its number may be another's, but for one that is stopped and ours.
    if (!this.#site.processes().some((each) => each.pid === pid)) return;
    this.#site.note(`SIGCONT ${pid}`);
    signal(pid, "SIGCONT");
  }
}
