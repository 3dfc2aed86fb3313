/**
 * What becomes of the files that a crash left of one message, found out by the real system.
 *
 * In the queue messages know nothing of one another: what recovery makes of a tree is what it makes of
 * the files of each id in it. So these are recovered, hundreds in one queue at once, each as a world of
 * its own with an id and addresses of its own; and what is known is not tried again.
 */

import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { SPLIT } from "../../qmail/queue/fmtqfn.ts";
import type { TreeFile } from "./disk.ts";
import { collect } from "./law.ts";
import { type Arrival, type Letter, moveWorld, WORLD_DIGITS } from "./letters.ts";
import { type Build, Site } from "./site.ts";

/** Files of one id, by their path with "#" for the id and its subdirectory. */
export type Remains = ReadonlyMap<string, TreeFile>;

export interface Fate {
  readonly arrivals: readonly Arrival[];
  /** Files that are still there after cleanup. */
  readonly staying: readonly string[];
}

/** Beyond every inode number that the site's filesystem gives, so that no new message gets the same id. */
const FIRST_ID = 10n ** 17n;
const BATCH = 800;
/** Nothing has happened for so long: nothing will. */
const QUIET_MS = 2500;

export class Recovery {
  readonly #build: Build;
  readonly #letters: ReadonlyMap<string, Letter>;
  readonly #fates = new Map<string, Fate>();
  readonly #unknown = new Map<string, Remains>();
  /** What arrived and was no letter. */
  readonly wrong: string[] = [];
  cut = 0;

  readonly #quietMs: number;

  constructor(build: Build, letters: ReadonlyMap<string, Letter>, quietMs = QUIET_MS) {
    this.#build = build;
    this.#quietMs = quietMs;
    this.#letters = letters;
  }

  /** So many different remains of a message were recovered. */
  get tried(): number {
    return this.#fates.size;
  }

  get waiting(): number {
    return this.#unknown.size;
  }

  /** Notes that the fate of `remains` will be asked for. */
  want(key: string, remains: Remains): void {
    if (!this.#fates.has(key)) this.#unknown.set(key, remains);
  }

  fate(key: string): Fate | undefined {
    return this.#fates.get(key);
  }

  /** Recovers what is wanted. */
  async run(until: number): Promise<void> {
    for (let first = true; this.#unknown.size > 0; first = false) {
      if (!first && performance.now() > until) return;
      const batch = [...this.#unknown].slice(0, BATCH);
      for (const [key] of batch) this.#unknown.delete(key);
      await this.#recover(batch);
    }
  }

  async #recover(batch: readonly (readonly [string, Remains])[]): Promise<void> {
    const site = new Site(this.#build);
    try {
      for (const [world, [, remains]] of batch.entries()) lay(site, world + 1, remains);
      await site.start();
      await site.settled(this.#quietMs);
      await site.stop();
      site.age();
      await site.start();
      await site.settled(this.#quietMs);
      const staying = await site.staying(2 * this.#quietMs);
      staying.push(...(await site.settled(0)));
      await site.stop();
      const { arrivals, wrong, cut } = collect(site, this.#letters);
      this.wrong.push(...wrong);
      this.cut += cut;
      for (const [at, [key]] of batch.entries()) {
        const world = worldName(at + 1);
        this.#fates.set(key, {
          arrivals: arrivals.filter((arrival) => arrival.world === world),
          staying: [...new Set(staying.filter((path) => belongs(path, at + 1)))],
        });
      }
    } finally {
      await site.kill();
      site.remove();
    }
  }
}

function worldName(world: number): string {
  return String(world).padStart(WORLD_DIGITS, "0");
}

function worldId(world: number): bigint {
  return FIRST_ID + BigInt(world);
}

function belongs(path: string, world: number): boolean {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return name === String(worldId(world)) || name.startsWith(`${worldName(world)}.`);
}

/** Writes the files of a world into the site. */
function lay(site: Site, world: number, remains: Remains): void {
  const id = worldId(world);
  for (const [pattern, { bytes, mtime }] of remains) {
    const path = pattern
      .replace("#/#", `${id % BigInt(SPLIT)}/${id}`)
      .replace("#", String(id))
      .replace("*", worldName(world));
    const whole = join(site.home, path);
    mkdirSync(dirname(whole), { recursive: true });
    writeFileSync(whole, moveWorld(bytes.toString("latin1"), worldName(world)), "latin1");
    if (mtime !== null) utimesSync(whole, mtime, mtime);
  }
}
