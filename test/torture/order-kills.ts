/** Deaths, stalls and restarts under load, and clocks that jump. */

import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Chance } from "./chance.ts";
import type { OrderSite } from "./order-site.ts";
import { signal } from "./processes.ts";

/** Those that may be stalled while qmail-send dies, the more often the more they may do when they wake. */
const STALLED = ["qmail-queue", "qmail-queue", "qmail-lspawn", "qmail-lspawn", "qmail-local"];
const STALL_MS = 12_000;
/** No successor can begin before that: so most stalls are short. */
const SHORT_STALL_MS = 2000;
/** So long after one has been stalled qmail-send ends; what it asks for meanwhile waits. */
const ORDERS_MS = 600;
const NEXT_MS = 2500;
/** Later than what cleanup takes for garbage. */
const JUMP_MS = 40 * 3600 * 1000;

export class Disturber {
  readonly #site: OrderSite;
  readonly #chance: Chance;
  readonly #stalls: Promise<void>[] = [];
  #jumped = false;
  count = 0;

  constructor(site: OrderSite, chance: Chance) {
    this.#site = site;
    this.#chance = chance;
  }

  /** One disturbance. */
  async disturb(): Promise<void> {
    this.count++;
    const kind = this.#chance.below(100);
    if (kind < 15) this.#killOne();
    else if (kind < 25) this.#killAll();
    else if (kind < 90) await this.#stall(kind < 70 ? "SIGKILL" : "SIGTERM");
    else this.#restart();
    await sleep(500 + this.#chance.below(NEXT_MS));
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
    const [wanted] = this.#chance.shuffle(STALLED);
    const main = this.#site.main;
    const all = this.#site.processes();
    const own = new Set(all.filter(({ parent }) => parent === main).map(({ pid }) => pid));
    const victim = all.find(({ role, pid, parent }) => {
      return role === wanted && (own.has(pid) || own.has(parent));
    });
    if (!victim || main === undefined) return;
    this.#site.note(`SIGSTOP ${victim.role} ${victim.pid}`);
    signal(victim.pid, "SIGSTOP");
    const most = this.#chance.below(5) === 0 ? STALL_MS : SHORT_STALL_MS;
    this.#stalls.push(this.#wake(victim.pid, 500 + this.#chance.below(most)));
    await sleep(this.#chance.below(ORDERS_MS));
    this.#site.note(`${end} qmail-send ${main}`);
    if (this.#site.main === main) this.#site.signalMain(end);
  }

  async #wake(pid: number, ms: number): Promise<void> {
    await sleep(ms);
    // Its number may be another's, but for one that is stopped and ours.
    if (!this.#site.processes().some((each) => each.pid === pid)) return;
    this.#site.note(`SIGCONT ${pid}`);
    signal(pid, "SIGCONT");
  }
}
