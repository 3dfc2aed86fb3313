/**
 * The kill harness. One site goes through one crash after another: it is started, recovers from the
 * crash before, is judged, plays the scenario and is killed at the next file operation in turn. So a
 * crash costs one start of the system. Every start comes "after a long night": all files are aged, so
 * that cleanup must take what is garbage.
 */

import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { localQueue } from "../../qmail/queue/local-queue.ts";
import { Chance } from "./chance.ts";
import { Ledger, newTally, type Tally } from "./law.ts";
import { type Letter, letter } from "./letters.ts";
import type { Kill, Plan, TraceEvent } from "./plan.ts";
import { play, put, putByProgram, type Witness } from "./scenario.ts";
import { type Build, Site } from "./site.ts";

type Point = Pick<Kill, "role" | "at" | "when" | "scope">;

export interface KillOptions {
  readonly build: Build;
  readonly seed: number;
  /** `performance.now()` when no new crash is begun. */
  readonly until: number;
  /** Sites at once. */
  readonly sites: number;
  /** Only so many crashes. */
  readonly most?: number;
  /** A fault to be found. */
  readonly lateLinks?: boolean;
  /** Told of progress. */
  readonly say: (text: string) => void;
}

export interface KillResult extends Tally {
  /** File operations of one run of the scenario. */
  operations: number;
  /** Processes killed. */
  crashes: number;
  /** Different places of the code where one was killed: program, call, directory. */
  readonly places: Set<string>;
  /** Places of the scenario. */
  readonly known: Set<string>;
}

/** Kills and checks until the time is over, every point was tried, or the law was broken. */
export async function killHarness(options: KillOptions): Promise<KillResult> {
  const result: KillResult = {
    ...newTally(),
    operations: 0,
    crashes: 0,
    places: new Set(),
    known: new Set(),
  };
  const steps = await record(options.build);
  result.operations = steps.length;
  for (const { place } of steps) result.known.add(place);
  const chance = new Chance(options.seed);
  const points = order(steps, chance);
  const next = () => {
    const over = performance.now() > options.until || result.crashes >= (options.most ?? Infinity);
    return over || result.violations.length > 0 ? undefined : points.shift();
  };
  const sites = Array.from({ length: options.sites }, (_, number) =>
    new Torture(options, { name: `s${number}`, result, chance }).run(next),
  );
  await Promise.all(sites);
  if (result.violations.length === 0) await killPrograms(options, result);
  return result;
}

interface Step {
  readonly role: string;
  readonly at: number;
  readonly write: boolean;
  readonly place: string;
}

/** Runs the scenario once, unharmed, to learn its operations. */
async function record(build: Build): Promise<Step[]> {
  const site = new Site(build);
  try {
    const trace = join(site.home, "trace");
    await site.start({ trace });
    await play(site, "r", { sent() {}, answered() {} });
    await site.kill();
    return steps(site.home, readTrace(trace));
  } finally {
    site.remove();
  }
}

/** The events in the file `trace`. */
export function readTrace(trace: string): TraceEvent[] {
  return readFileSync(trace, "latin1")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as TraceEvent);
}

function steps(home: string, events: readonly TraceEvent[]): Step[] {
  const counts = new Map<string, number>();
  const paths = new Map<string, string>();
  const found: Step[] = [];
  for (const event of events) {
    const { process: name } = event;
    if (event.op === "answer") continue;
    const handle = "handle" in event ? `${name} ${event.handle}` : "";
    if (event.op === "open") paths.set(handle, event.path);
    if ((event.op === "sync" && event.phase === "end") || (event.op === "open" && !event.created)) {
      continue;
    }
    const at = (counts.get(name) ?? 0) + 1;
    counts.set(name, at);
    const role = name.slice(0, name.lastIndexOf("."));
    const path = "path" in event ? event.path : "to" in event ? event.to : paths.get(handle);
    const place = `${role} ${event.op} ${path
      ?.replace(home, "")
      .replace(/[^/]*$/, "")
      .replace(/\d+/, "#")}`;
    found.push({ role, at, write: event.op === "write", place });
  }
  return found;
}

/** All points, in an order that comes to every kind of place early. */
function order(steps: readonly Step[], chance: Chance): Point[] {
  const first: Point[] = [];
  const rest: Point[] = [];
  const seen = new Set<string>();
  for (const { role, at, write, place } of chance.shuffle(steps)) {
    for (const when of ["before", "after", "half"] as const) {
      if (when === "half" && !write) continue;
      const scope = chance.below(2) === 0 ? "one" : "all";
      const kind = `${place} ${when}`;
      const fresh = !seen.has(kind);
      seen.add(kind);
      (fresh ? first : rest).push({ role, at, when, scope });
      rest.push({ role, at, when, scope: scope === "one" ? "all" : "one" });
    }
  }
  return [...chance.shuffle(first), ...chance.shuffle(rest)];
}

/** Every so many crashes one is followed by another while the first is being mended. */
const TWICE = 4;
/** A crash in a recovery happens within so many operations. */
const RECOVERY_OPERATIONS = 40;

/** One site and its crashes. */
class Torture {
  readonly #options: KillOptions;
  readonly #name: string;
  readonly #result: KillResult;
  readonly #chance: Chance;
  readonly #site: Site;
  #ledger = new Ledger();
  #cycles = 0;

  constructor(
    options: KillOptions,
    { name, result, chance }: { name: string; result: KillResult; chance: Chance },
  ) {
    this.#options = options;
    this.#name = name;
    this.#result = result;
    this.#chance = chance;
    this.#site = new Site(options.build);
  }

  async run(next: () => Point | undefined): Promise<void> {
    let point = next();
    while (point) {
      if (++this.#cycles % TWICE === 0) await this.#twice(point.role);
      await this.#recover({ ...point, arm: this.#arm, note: this.#note }, point);
      if (this.#result.violations.length > 0) break;
      writeFileSync(this.#arm, "");
      await play(this.#site, `${this.#name}.${this.#cycles}`, this.#witness);
      await this.#crash();
      point = next();
    }
    if (this.#result.violations.length === 0) await this.#recover(null, undefined);
    await this.#site.kill();
    if (this.#result.violations.length === 0) this.#site.remove();
  }

  get #arm(): string {
    return join(this.#site.home, "armed");
  }

  get #note(): string {
    return join(this.#site.home, "died");
  }

  get #witness(): Witness {
    return {
      sent: (letter: Letter) => this.#ledger.sent(letter),
      answered: (letter: Letter) => this.#ledger.answered.add(letter.token),
    };
  }

  #plan(kill: Kill | null): Omit<Plan, "site"> {
    const lateLinks = this.#options.lateLinks ? { lateLinks: true } : {};
    return { ...(kill ? { kill } : {}), ...lateLinks };
  }

  /** Starts after the crash, waits until all is mended, and judges. The next death is planned meanwhile. */
  async #recover(kill: Kill | null, point: Point | undefined): Promise<void> {
    rmSync(this.#arm, { force: true });
    this.#site.age();
    await this.#site.start(this.#plan(kill));
    const idle = await this.#site.idle();
    const before = this.#result.violations.length;
    const { violations } = this.#result;
    if (!idle) violations.push(`not idle after a crash: ${this.#site.work().join(" ")}`);
    this.#ledger.judge(this.#site, this.#result);
    for (const path of await this.#site.staying()) violations.push(`stays for ever: ${path}`);
    if (violations.length > before) this.#keep(point);
    this.#ledger = new Ledger();
    this.#site.newMailboxes();
  }

  /** A crash while another is being mended, with letters left in drop meanwhile. */
  async #twice(role: string): Promise<void> {
    for (const number of [1, 2]) {
      const dropped = letter(`${this.#name}.${this.#cycles}-down${number}`, { boxes: ["box-n"] });
      await put(localQueue(this.#site.home, {}), dropped, this.#witness);
    }
    const at = 1 + this.#chance.below(RECOVERY_OPERATIONS);
    this.#site.age();
    await this.#site.start(
      this.#plan({ role, at, when: "before", scope: "all", note: this.#note }),
    );
    await this.#site.idle();
    await this.#crash();
  }

  /** Waits for the death, or makes it when the scenario ended before; counts it. */
  async #crash(): Promise<void> {
    await this.#site.kill();
    this.#ledger.crashed(this.#site);
    if (!existsSync(this.#note)) return;
    this.#result.crashes++;
    this.#result.places.add(readFileSync(this.#note, "latin1"));
    rmSync(this.#note);
    if (this.#result.crashes % 50 === 0) this.#options.say(`${this.#result.crashes} crashes`);
  }

  #keep(point: Point | undefined): void {
    const kept = mkdtempSync(join(tmpdir(), "qmailctl-torture-kept-"));
    cpSync(this.#site.home, kept, {
      recursive: true,
      filter: (from) => !/\/(run|lock)\//.test(from),
    });
    writeFileSync(join(kept, "daemons.log"), this.#site.log);
    const where = `seed ${this.#options.seed}, last planned ${JSON.stringify(point)}, kept in ${kept}`;
    this.#result.violations.push(where);
  }
}

/** Of the time for everything, killing the classic program gets at least this much more. */
const PROGRAMS_MS = 3000;

/** The classic program, killed at each of its operations, with the daemons down and with them up. */
async function killPrograms(options: KillOptions, result: KillResult): Promise<void> {
  const site = new Site(options.build);
  const ledger = new Ledger();
  const until = Math.max(options.until, performance.now() + PROGRAMS_MS);
  for (const up of [false, true]) {
    if (up) await site.start();
    for (let at = 1, died = true; died && at < 100; at++) {
      for (const when of ["before", "after", "half"] as const) {
        if (performance.now() > until) break;
        const sent = letter(`p${up}${at}${when}`, { boxes: ["box-p"] });
        died = await killProgram(site, { ledger, sent, point: { at, when } });
        if (died) result.crashes++;
      }
    }
    await site.kill();
  }
  ledger.crashed(site);
  site.age();
  await site.start();
  if (!(await site.idle())) result.violations.push("not idle after qmail-queue was killed");
  ledger.judge(site, result);
  for (const path of await site.staying()) result.violations.push(`stays for ever: ${path}`);
  await site.kill();
  site.remove();
}

/** Runs qmail-queue for a letter; true when it died as planned. */
async function killProgram(
  site: Site,
  { ledger, sent, point }: { ledger: Ledger; sent: Letter; point: Pick<Kill, "at" | "when"> },
): Promise<boolean> {
  const kill: Kill = { ...point, role: "qmail-queue", scope: "one", note: join(site.home, "died") };
  const witness: Witness = {
    sent: (each) => ledger.sent(each),
    answered: ({ token }) => ledger.answered.add(token),
  };
  const code = await putByProgram(site, { letter: sent, plan: { kill } }, witness);
  return code === null;
}
