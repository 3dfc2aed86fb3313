/**
 * The law (qmail/INTERNALS.md) as the harness checks it: what was answered with success arrives at least
 * once, nothing arrives cut or changed, and a second copy is made only of what a crash caught unfinished.
 */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { splitOf } from "../../qmail/queue/fmtqfn.ts";
import { type Arrival, type Letter, moveWorld, outcomeKey, recognize } from "./letters.ts";
import type { Site } from "./site.ts";

/** What was tried and found. */
export interface Tally {
  lost: number;
  duplicates: number;
  /** Entries of an mbox that end where a crash cut them off. */
  cut: number;
  readonly violations: string[];
}

export function newTally(): Tally {
  return { lost: 0, duplicates: 0, cut: 0, violations: [] };
}

/** Entries of an mbox as a reader finds them: From_ behind an empty line, or at the beginning. */
export function mboxEntries(text: string): string[] {
  const entries: string[] = [];
  let previous = "";
  for (const line of text.split(/(?<=\n)/)) {
    const begins = line.startsWith("From ") && (previous === "" || previous === "\n");
    if (begins) entries.push("");
    else entries[Math.max(0, entries.length - 1)] += line;
    previous = line;
  }
  // The empty line behind a message is the mbox's.
  return entries.map((entry) => entry.replace(/\n$/, ""));
}

/** What lies in the mailboxes of `site`, and what there is no letter. */
export function collect(
  site: { maildir(): string[]; mbox(): string },
  letters: ReadonlyMap<string, Letter>,
): { arrivals: Arrival[]; wrong: string[]; cut: number } {
  const arrivals: Arrival[] = [];
  const wrong: string[] = [];
  let cut = 0;
  for (const text of site.maildir()) {
    const found = recognize(text, letters);
    if (typeof found === "string") wrong.push(found);
    else arrivals.push(found);
  }
  for (const entry of mboxEntries(site.mbox())) {
    const found = recognize(entry, letters);
    if (typeof found !== "string") {
      arrivals.push(found);
      continue;
    }
    // An mbox is no Maildir: what a crash cut off stays in it, and may stick to a message that is whole.
    cut++;
    arrivals.push(...wholeIn(entry, letters));
  }
  return { arrivals, wrong, cut };
}

/** The letters that lie whole in an entry of an mbox together with something else. */
function wholeIn(entry: string, letters: ReadonlyMap<string, Letter>): Arrival[] {
  return [...entry.matchAll(/^X-World: (\d+)\nX-Token: (\S+)$/gm)].flatMap((match) => {
    const [, world = "", token = ""] = match;
    const text = moveWorld(letters.get(token)?.text ?? "\0", world);
    return entry.startsWith(text, match.index) ? [{ kind: "mail", box: "mbox", world, token }] : [];
  });
}

/** Letters on their way, and how far each was at the last crash. */
export class Ledger {
  readonly letters = new Map<string, Letter>();
  readonly answered = new Set<string>();
  readonly #final = new Map<string, number>();
  #crashes = 0;

  sent(letter: Letter): void {
    this.letters.set(letter.token, letter);
  }

  /** All processes are dead: notes what must not be delivered again. */
  crashed(site: Site): void {
    this.#crashes++;
    const open = openOutcomes(site, this.letters);
    const counts = countArrivals(collect(site, this.letters).arrivals);
    for (const { token, outcomes } of this.letters.values()) {
      for (const outcome of outcomes) {
        const key = outcomeKey(token, outcome);
        const count = counts.get(key) ?? 0;
        if (count > 0 && !open(token, outcome.box)) this.#final.set(key, count);
      }
    }
  }

  /** Nothing is under way: judges what arrived. */
  judge(site: Site, tally: Tally): void {
    const { arrivals, wrong, cut } = collect(site, this.letters);
    tally.violations.push(...wrong);
    tally.cut += cut;
    const counts = countArrivals(arrivals);
    for (const { token, outcomes } of this.letters.values()) {
      for (const outcome of outcomes) this.#judge(token, outcomeKey(token, outcome), counts, tally);
    }
    const expected = new Set(
      [...this.letters.values()].flatMap(({ token, outcomes }) =>
        outcomes.map((outcome) => outcomeKey(token, outcome)),
      ),
    );
    for (const key of counts.keys()) {
      if (!expected.has(key)) tally.violations.push(`arrived where it should not: ${key}`);
    }
  }

  #judge(token: string, key: string, counts: ReadonlyMap<string, number>, tally: Tally): void {
    const count = counts.get(key) ?? 0;
    if (count === 0 && this.answered.has(token)) {
      tally.lost++;
      tally.violations.push(`lost: ${key}`);
    }
    tally.duplicates += Math.max(0, count - 1);
    if (count > 1 + this.#crashes * hops(key)) tally.violations.push(`${count} copies: ${key}`);
    const final = this.#final.get(key);
    if (final !== undefined && count > final) {
      tally.violations.push(`delivered again after it was done: ${key}`);
    }
  }
}

/**
 * How often a letter passes from file to file on its way: each passing is made again when a crash comes
 * before the old file is gone. Drop to queue, queue to mailbox, queue to bounce.
 */
export function hops(key: string): number {
  if (key.endsWith(" postmaster") || key.endsWith(" box-forwarded")) return 3;
  return key.includes(" bounce ") || key.includes("-local ") || key.includes("-down") ? 2 : 1;
}

function countArrivals(arrivals: readonly Arrival[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const arrival of arrivals) {
    const key = outcomeKey(arrival.token, arrival);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

/** Tells of a letter and a box whether the files of a dead site still ask for that delivery. */
function openOutcomes(
  site: Site,
  letters: ReadonlyMap<string, Letter>,
): (token: string, box: string) => boolean {
  /** By token: the text of recipient files in S5, or null when everything may be repeated. */
  const open = new Map<string, string | null>();
  const read = (path: string) => {
    const whole = join(site.home, path);
    return existsSync(whole) ? readFileSync(whole, "latin1") : "";
  };
  for (const path of site.work()) {
    const id = path.slice(path.lastIndexOf("/") + 1);
    const text = path.startsWith("drop/") ? read(path) : read(`queue/mess/${splitOf(id)}/${id}`);
    const token = /^X-Token: (\S+)$/m.exec(text)?.[1];
    if (!token || !letters.has(token)) continue;
    const settled =
      !path.startsWith("drop/") &&
      read(`queue/todo/${id}`) === "" &&
      !text.includes("Hi. This is the qmail-send program at") &&
      !text.includes("Delivered-To: ");
    const marks = settled ? read(`queue/local/${splitOf(id)}/${id}`) : null;
    const known = open.get(token);
    if (known === null || marks === null) open.set(token, null);
    else open.set(token, (known ?? "") + marks);
  }
  return (token, box) => {
    const marks = open.get(token);
    if (marks === undefined) return false;
    return marks === null || !marks.split("\0").some((record) => record.startsWith(`D${box}-`));
  };
}
