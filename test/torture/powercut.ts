/**
 * The power-cut harness: records what the real daemons do to their files, builds the trees that a power
 * cut may leave at each moment, and asks of each whether everything that was answered by then is still
 * there or arrives after the next start.
 */

import { createHash } from "node:crypto";
import { appendFileSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Chance } from "./chance.ts";
import { Disk, type Filesystem, type Tree } from "./disk.ts";
import { readTrace } from "./kill.ts";
import { collect, hops, newTally, type Tally } from "./law.ts";
import { type Arrival, type Letter, outcomeKey } from "./letters.ts";
import type { Fault, Plan, TraceEvent } from "./plan.ts";
import { Recovery, type Remains } from "./recovery.ts";
import { play, type Witness } from "./scenario.ts";
import { type Build, Site } from "./site.ts";

export interface PowerCutOptions {
  readonly build: Build;
  readonly seed: number;
  readonly filesystem: Filesystem;
  /** Trees for each moment at most, all of them where there are fewer; 1: only what is durable. */
  readonly trees: number;
  /** For so long trees are built from a recording. */
  readonly cutMs: number;
  /** And for so long they are recovered, a batch at least: what is not known then is not judged. */
  readonly recoverMs: number;
  readonly faults?: readonly Fault[];
  /** Recovery has ended when nothing has happened for so long. */
  readonly quietMs?: number;
}

export interface PowerCutResult extends Tally {
  /** Events of the trace. */
  operations: number;
  /** Moments of a power cut. */
  moments: number;
  /** Different trees that were judged. */
  states: number;
  /** Different remains of one message that were recovered. */
  recovered: number;
}

interface Recording {
  readonly home: string;
  readonly events: readonly TraceEvent[];
  readonly letters: ReadonlyMap<string, Letter>;
}

/** A tree, taken apart: what is in the mailboxes, and the remains of each message. */
interface State {
  readonly arrivals: readonly Arrival[];
  readonly wrong: readonly string[];
  readonly cut: number;
  readonly remains: readonly string[];
  /** Letters answered at the last moment at which this tree can be left. */
  answered: number;
  /** To build it again, should it break the law. */
  tree: () => Tree;
  moment: number;
}

/** Judges the trees of one recording until the time is over. */
export async function powerCutHarness(options: PowerCutOptions): Promise<PowerCutResult> {
  const recording = await record(options);
  const recovery = new Recovery(options.build, recording.letters, options.quietMs);
  const result: PowerCutResult = {
    ...newTally(),
    operations: recording.events.length,
    moments: 0,
    states: 0,
    recovered: 0,
  };
  const cutter = new Cutter(options, recording, recovery);
  const { states, answered, moments } = cutter.run();
  await recovery.run(performance.now() + options.recoverMs);
  result.moments = moments;
  result.recovered = recovery.tried;
  result.violations.push(...recovery.wrong.map((text) => `after recovery: ${text}`));
  let broken = 0;
  for (const state of states) {
    if (!state.remains.every((key) => recovery.fate(key))) continue;
    result.states++;
    const found = { ...newTally() };
    judge(state, { answered, recovery, recording, tally: found });
    result.lost += found.lost;
    result.duplicates += found.duplicates;
    result.cut += found.cut;
    // One broken tree tells enough; of the others their number.
    if (found.violations.length > 0 && broken++ === 0) {
      result.violations.push(...found.violations, keep(state, options, recording));
    }
  }
  if (broken > 1) result.violations.push(`so are ${broken - 1} other trees`);
  return result;
}

/** A filesystem that, as btrfs, never gives an inode number again. */
export const SHM = "/dev/shm";

async function record(options: PowerCutOptions): Promise<Recording> {
  const site = new Site(options.build, options.filesystem === "carrying" ? SHM : tmpdir());
  const trace = join(site.home, "trace");
  const letters = new Map<string, Letter>();
  const witness: Witness = {
    sent: (letter) => letters.set(letter.token, letter),
    answered: ({ token }) => {
      appendFileSync(trace, `${JSON.stringify({ op: "answer", token, process: "harness" })}\n`);
    },
  };
  const plan: Omit<Plan, "site"> = {
    trace,
    ...(options.faults ? { faults: options.faults } : {}),
    ...(options.filesystem === "strict" ? { unknownFilesystem: true } : {}),
  };
  try {
    await site.start(plan);
    await play(site, "c", { ...witness, plan });
    // With the spares removed, after their time, the trace has the end of everything.
    await site.stop();
    return { home: site.home, events: readTrace(trace), letters };
  } finally {
    await site.kill();
    site.remove();
  }
}

/** Goes through a trace and collects the trees that a crash may leave. */
class Cutter {
  readonly #options: PowerCutOptions;
  readonly #recording: Recording;
  readonly #recovery: Recovery;
  readonly #chance: Chance;
  readonly #states = new Map<string, State>();
  readonly #hashes = new WeakMap<Buffer, string>();
  readonly #boxes = new Map<string, Pick<State, "arrivals" | "wrong" | "cut">>();

  constructor(options: PowerCutOptions, recording: Recording, recovery: Recovery) {
    this.#options = options;
    this.#recording = recording;
    this.#recovery = recovery;
    this.#chance = new Chance(options.seed);
  }

  run(): { states: State[]; answered: string[]; moments: number } {
    const disk = new Disk(this.#options.filesystem);
    const answered: string[] = [];
    const until = performance.now() + this.#options.cutMs;
    let moments = 0;
    for (const [at, event] of this.#recording.events.entries()) {
      if (event.op === "answer") answered.push(event.token);
      const changes = disk.apply(event);
      // What is answered counts before anything else changes.
      if (!changes && event.op !== "answer") continue;
      moments++;
      if (performance.now() > until) break;
      this.#cut(disk, at, answered.length);
    }
    return { states: [...this.#states.values()], answered, moments };
  }

  #cut(disk: Disk, moment: number, answered: number): void {
    if (this.#options.trees === 1) {
      const tree = disk.tree(
        () => false,
        () => 0,
      );
      this.#note(tree, moment, answered);
      return;
    }
    const torn = [(): number => 0, (variants: number) => variants - 1];
    for (const kept of this.#subsets(disk.open)) {
      for (const variant of torn) this.#note(disk.tree(kept, variant), moment, answered);
      const chance = (variants: number) => this.#chance.below(variants);
      this.#note(disk.tree(kept, chance), moment, answered);
    }
  }

  /** Which changes of names survive: all possibilities where they are few, else the ends and a sample. */
  *#subsets(count: number): IterableIterator<(at: number) => boolean> {
    const { trees, filesystem } = this.#options;
    const most = Math.max(2, Math.floor(trees / 3));
    if (filesystem === "journal") {
      const step = Math.max(1, Math.ceil((count + 1) / most));
      for (let length = 0; length < count; length += step) yield (at) => at < length;
      yield () => true;
      return;
    }
    if (count < 20 && 2 ** count <= most) {
      for (let bits = 0; bits < 2 ** count; bits++) yield (at) => ((bits >> at) & 1) === 1;
      return;
    }
    yield () => false;
    yield () => true;
    for (let left = most - 2; left > 0; left--) {
      const kind = this.#chance.below(4);
      const one = this.#chance.below(count);
      const bits = Array.from({ length: count }, () => this.#chance.below(2) === 1);
      if (kind === 0) yield (at) => at === one;
      else if (kind === 1) yield (at) => at !== one;
      else yield (at) => bits[at] as boolean;
    }
  }

  #note(tree: Tree, moment: number, answered: number): void {
    const messages = new Map<
      string,
      Map<string, Tree extends ReadonlyMap<string, infer F> ? F : never>
    >();
    const boxes: string[] = [];
    for (const [path, file] of tree) {
      const place = this.#place(path);
      if (!place) {
        boxes.push(`${path} ${this.#hash(file.bytes)}`);
        continue;
      }
      let group = messages.get(place.message);
      if (!group) {
        group = new Map();
        messages.set(place.message, group);
      }
      group.set(place.pattern, file);
    }
    const remains = [...messages.values()].map((group) => this.#remains(group)).sort();
    const mailboxes = boxes.sort().join();
    const key = `${mailboxes}|${remains.join()}`;
    const known = this.#states.get(key);
    if (known) {
      if (answered > known.answered) Object.assign(known, { answered, moment, tree: () => tree });
      return;
    }
    let found = this.#boxes.get(mailboxes);
    if (!found) {
      found = this.#read(tree);
      this.#boxes.set(mailboxes, found);
    }
    this.#states.set(key, { ...found, remains, answered, moment, tree: () => tree });
  }

  /** Whose file `path` is, and its pattern; null for one in a mailbox. */
  #place(path: string): { message: string; pattern: string } | null {
    const below = path.slice(this.#recording.home.length + 1);
    const numbered = /^(queue\/(?:mess|info|local|remote)\/)\d+\/(\d+)$/.exec(below);
    if (numbered) return { message: numbered[2] as string, pattern: `${numbered[1]}#/#` };
    const flat = /^(queue\/(?:intd|todo|bounce)\/)(\d+)$/.exec(below);
    if (flat) return { message: flat[2] as string, pattern: `${flat[1]}#` };
    const other = /^(queue\/pid|drop)\/(.*?)(\.\w+)?$/.exec(below);
    if (other) return { message: below, pattern: `${other[1]}/*.1${other[3] ?? ""}` };
    return null;
  }

  #remains(group: Remains): string {
    const key = [...group]
      .map(([pattern, { bytes, mtime }]) => `${pattern} ${this.#hash(bytes)} ${mtime}`)
      .sort()
      .join();
    this.#recovery.want(key, group);
    return key;
  }

  #hash(bytes: Buffer): string {
    let hash = this.#hashes.get(bytes);
    if (hash === undefined) {
      hash = createHash("sha1").update(bytes).digest("base64");
      this.#hashes.set(bytes, hash);
    }
    return hash;
  }

  #read(tree: Tree): Pick<State, "arrivals" | "wrong" | "cut"> {
    const { home, letters } = this.#recording;
    const text = (path: string) => tree.get(path)?.bytes.toString("latin1") ?? "";
    const mails = [...tree.keys()].filter((path) => path.startsWith(`${home}/alias/Maildir/new/`));
    const site = {
      maildir: () => mails.map(text),
      mbox: () => text(`${home}/alias/Mailbox`),
    };
    return collect(site, letters);
  }
}

function judge(
  state: State,
  context: {
    answered: readonly string[];
    recovery: Recovery;
    recording: Recording;
    tally: Tally;
  },
): void {
  const { answered, recovery, recording, tally } = context;
  tally.violations.push(...state.wrong);
  tally.cut += state.cut;
  const counts = new Map<string, number>();
  const count = (arrival: Arrival) => {
    const key = outcomeKey(arrival.token, arrival);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  };
  state.arrivals.forEach(count);
  for (const key of state.remains) {
    const fate = recovery.fate(key);
    if (!fate) throw new Error("remains without a fate");
    fate.arrivals.forEach(count);
    for (const path of fate.staying) tally.violations.push(`stays for ever: ${path}: ${key}`);
  }
  for (const token of new Set(answered.slice(0, state.answered))) {
    for (const outcome of recording.letters.get(token)?.outcomes ?? []) {
      const key = outcomeKey(token, outcome);
      if ((counts.get(key) ?? 0) > 0) continue;
      tally.lost++;
      tally.violations.push(`lost: ${key}`);
    }
  }
  for (const [key, copies] of counts) {
    tally.duplicates += copies - 1;
    if (copies > 1 + hops(key)) tally.violations.push(`${copies} copies: ${key}`);
  }
}

/** Writes down the tree that broke the law; says where. */
function keep(
  state: State,
  { seed, filesystem }: PowerCutOptions,
  { home, events }: Recording,
): string {
  const kept = mkdtempSync(join(tmpdir(), "qmailctl-torture-kept-"));
  writeFileSync(join(kept, "trace"), events.map((event) => `${JSON.stringify(event)}\n`).join(""));
  for (const [path, { bytes }] of state.tree()) {
    const to = join(kept, path.slice(home.length));
    mkdirSync(dirname(to), { recursive: true });
    writeFileSync(to, bytes);
  }
  return `seed ${seed}, filesystem ${filesystem}, after event ${state.moment}, kept in ${kept}`;
}
