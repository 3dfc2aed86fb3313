/** Counting what is in the queue: how many, how old, in what state, from whom and for whom. Pure. */

import type { QueuedMessage } from "../../qmail/queue/queue-read.ts";
import { STATES, type State, statesOf } from "./states.ts";

/** So many names are kept apart; what comes later under new ones is counted together. */
const NAMES_MAX = 100_000;
export const OTHERS = "(others)";

export interface Tally {
  messages: number;
  /** Recipients left. */
  left: number;
  bytes: number;
  /** The birth of the oldest, in milliseconds since 1970. */
  oldest: number;
}

/** By name, as bytes. */
export type Tallies = Map<string, Tally>;

/** Messages by age: younger than so many seconds. */
export const AGES = [60, 3600, 6 * 3600, 86_400, 3 * 86_400, 7 * 86_400, Infinity] as const;

/** Plain data, so that threads can hand it over. */
export interface Census {
  readonly all: Tally & { done: number };
  readonly states: Record<State, number>;
  readonly ages: number[];
  /** By the domains of the recipients left. */
  readonly domains: Tallies;
  readonly senders: Tallies;
}

/** The census of an empty queue. */
export function emptyCensus(): Census {
  return {
    all: { ...emptyTally(), done: 0 },
    states: Object.fromEntries(Object.keys(STATES).map((state) => [state, 0])) as Record<
      State,
      number
    >,
    ages: AGES.map(() => 0),
    domains: new Map(),
    senders: new Map(),
  };
}

function emptyTally(): Tally {
  return { messages: 0, left: 0, bytes: 0, oldest: Number.POSITIVE_INFINITY };
}

/** Counts `message` at `now`. */
export function count(census: Census, message: QueuedMessage, now: number): void {
  const { all, states, ages, domains, senders } = census;
  const byDomain = new Map<string, number>();
  let left = 0;
  for (const { address, done } of message.recipients) {
    if (done) continue;
    left++;
    const domain = domainOf(address);
    byDomain.set(domain, (byDomain.get(domain) ?? 0) + 1);
  }
  add(all, message, left);
  all.done += message.recipients.length - left;
  for (const state of statesOf(message, now)) states[state]++;
  const age = (now - message.birth) / 1000;
  const bucket = AGES.findIndex((limit) => age < limit);
  ages[bucket] = (ages[bucket] ?? 0) + 1;
  add(tallyOf(senders, message.sender || "<>"), message, left);
  for (const [domain, recipients] of byDomain) add(tallyOf(domains, domain), message, recipients);
}

/** Adds `message` to `tally`. */
export function add(tally: Tally, { size, birth }: QueuedMessage, left: number): void {
  tally.messages++;
  tally.left += left;
  tally.bytes += size;
  tally.oldest = Math.min(tally.oldest, birth);
}

/** The tally called `name`. */
export function tallyOf(tallies: Tallies, name: string): Tally {
  const known = tallies.get(name) ?? (tallies.size < NAMES_MAX ? undefined : tallies.get(OTHERS));
  if (known) return known;
  const tally = emptyTally();
  tallies.set(tallies.size < NAMES_MAX ? name : OTHERS, tally);
  return tally;
}

function domainOf(address: string): string {
  const at = address.lastIndexOf("@");
  return at < 0 ? "(no domain)" : address.slice(at + 1).toLowerCase();
}

/** Adds what another thread has counted. */
export function merge(census: Census, other: Census): void {
  mergeTally(census.all, other.all);
  census.all.done += other.all.done;
  for (const state of Object.keys(STATES) as State[]) census.states[state] += other.states[state];
  for (const [at, number] of other.ages.entries())
    census.ages[at] = (census.ages[at] ?? 0) + number;
  for (const by of ["domains", "senders"] as const) {
    for (const [name, tally] of other[by]) mergeTally(tallyOf(census[by], name), tally);
  }
}

function mergeTally(tally: Tally, other: Tally): void {
  tally.messages += other.messages;
  tally.left += other.left;
  tally.bytes += other.bytes;
  tally.oldest = Math.min(tally.oldest, other.oldest);
}

/** The names with the most messages, "(others)" last. */
export function top(tallies: Tallies, limit: number): [string, Tally][] {
  const named = [...tallies].filter(([name]) => name !== OTHERS);
  named.sort(([a, x], [b, y]) => y.messages - x.messages || (a < b ? -1 : 1));
  const others = tallies.get(OTHERS);
  return [...named.slice(0, limit), ...(others ? [[OTHERS, others] as [string, Tally]] : [])];
}
