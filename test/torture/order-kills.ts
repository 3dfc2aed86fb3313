/** Deaths, stalls and restarts under load, and clocks that jump. */

import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Chance } from "./chance.ts";
import type { OrderSite } from "./order-site.ts";
import { signal } from "./processes.ts";

/** Those that may be stalled while qmail-send dies. */
const STALLED = ["queue-server", "qmail-lspawn", "qmail-rspawn", "qmail-local"];
const STALL_MS = 12_000;
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
    if (kind < 25) this.#killOne();
    else if (kind < 40) this.#killAll();
    else if (kind < 80) await this.#stall(kind < 65 ? "SIGKILL" : "SIGTERM");
    else this.#restart();
    await sleep(500 + this.#chance.below(4000));
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
    const some = this.#site.processes().filter(({ role }) => STALLED.includes(role));
    const [victim] = this.#chance.shuffle(some);
    const main = this.#site.main;
    if (!victim || main === undefined) return;
    this.#site.note(`SIGSTOP ${victim.role} ${victim.pid}`);
    signal(victim.pid, "SIGSTOP");
    this.#stalls.push(this.#wake(victim.pid, 1000 + this.#chance.below(STALL_MS - 1000)));
    await sleep(this.#chance.below(1000));
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
