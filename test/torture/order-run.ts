/** Rounds of the orders mode, and how they are asked for. */

import { MUTATIONS, without } from "./mutations.ts";
import { CALM, type OrderOptions, type OrderResult, ordersRound } from "./orders.ts";
import type { Build } from "./site.ts";

/** Options of the command line: numbers that a round takes in place of its own. */
const NUMBERS = {
  clients: "clients",
  "pause-ms": "pauseMs",
  waits: "waits",
  trigger: "trigger",
  list: "list",
  "list-ms": "listMs",
  foreign: "foreign",
  actions: "actions",
  holds: "holds",
  "hold-ms": "holdMs",
  failures: "failures",
  "flush-ms": "flushMs",
} as const;

type NumberName = keyof typeof NUMBERS;
type Values = { readonly [name: string]: string | boolean | undefined };

const numbers = Object.fromEntries(
  Object.keys(NUMBERS).map((name) => [name, { type: "string" }]),
) as Record<NumberName, { type: "string" }>;

/** For parseArgs. */
export const ORDER_ARGS = {
  ...numbers,
  flood: { type: "string" },
  kills: { type: "boolean" },
  clock: { type: "boolean" },
  keep: { type: "boolean" },
  without: { type: "string" },
} as const;

export const ORDER_USAGE = `[--flood SECONDS] [--kills] [--clock] [--keep] [--without FIX]
         ${Object.keys(NUMBERS)
           .map((name) => `[--${name} N]`)
           .join(" ")}`;

/** Rounds of the kind of `round`, or of all kinds; `own` is what the command line says. */
export interface OrderSettings {
  readonly flood: number | null;
  readonly own: Partial<OrderOptions>;
  /** A fix that is taken out before (mutations.ts). */
  readonly without: string | null;
}

/** What the command line asks for; null when it makes no sense. */
export function parseOrders(values: Values): OrderSettings | null {
  const own: Record<string, number | boolean> = {};
  for (const [name, field] of Object.entries(NUMBERS)) {
    if (values[name] === undefined) continue;
    const number = Number(values[name]);
    if (!(number >= 0)) return null;
    own[field] = number;
  }
  if (values.kills) own.kills = true;
  if (values.clock) own.clock = true;
  if (values.keep) own.keep = true;
  const flood = values.flood === undefined ? null : Number(values.flood);
  if (flood !== null && !(flood > 0)) return null;
  const without = typeof values.without === "string" ? values.without : null;
  if (without !== null && !Object.hasOwn(MUTATIONS, without)) return null;
  return { flood, own, without };
}

/** Kinds of rounds: what is the matter besides clients and the trigger. */
const KINDS: Readonly<Record<string, Partial<OrderOptions>>> = {
  holds: { holds: 60, foreign: 5, list: 300 },
  actions: { holds: 30, actions: 3, list: 300 },
  failures: { holds: 30, failures: 150, foreign: 5 },
  kills: { holds: 30, kills: true, waits: 30 },
  clock: { holds: 30, clock: true, list: 300 },
  all: { holds: 30, failures: 50, actions: 2, kills: true, clock: true, foreign: 2, list: 100 },
};

/** In these rounds there are more clients, which take their time. */
const PATIENT = { clients: 200, pauseMs: 400, waits: 10 };

/** The short form: seconds of each of its floods. */
const QUICK_SECONDS = 8;
/** Floods of so many seconds find a fix that is taken out, the third at the latest. */
const WITHOUT_SECONDS = 20;
const WITHOUT_ROUNDS = 3;

/** Every round so far, in one. */
export interface OrderTotals extends OrderResult {
  rounds: number;
}

export interface OrderRun {
  readonly build: Build;
  readonly seed: number;
  readonly settings: OrderSettings;
  readonly say: (text: string) => void;
}

export function newOrderTotals(): OrderTotals {
  return {
    rounds: 0,
    accepted: 0,
    refused: 0,
    arrived: 0,
    lost: 0,
    wrong: 0,
    duplicates: 0,
    unasked: 0,
    bounced: 0,
    lostTokens: [],
    twiceTokens: [],
    unaskedTokens: [],
    complaints: [],
    reused: 0,
    stuck: 0,
    acts: 0,
    disturbances: 0,
    violations: [],
  };
}

/** The `number`th round, of the kind whose turn it is; adds what it finds to `totals`. */
export async function orderRound(
  { build, seed, settings, say }: OrderRun,
  number: number,
  totals: OrderTotals,
): Promise<void> {
  const kinds = Object.entries(KINDS);
  const [name, kind] = kinds[number % kinds.length] as (typeof kinds)[number];
  const options = { ...CALM, ...PATIENT, ...kind, ...settings.own };
  const result = await ordersRound({ build, seed: seed + number, options, say });
  add(totals, result);
  say(`orders, ${name}: ${describe(result)}`);
}

/** The short form: late syncs alone, then with all others who may be there. */
export async function quickOrders(
  { build, seed, settings, say }: OrderRun,
  totals: OrderTotals,
): Promise<void> {
  for (const kind of [{ holds: 60 }, { holds: 30, foreign: 5, actions: 3, list: 300 }]) {
    const options = { ...CALM, ...PATIENT, ...kind, seconds: QUICK_SECONDS, ...settings.own };
    const result = await ordersRound({ build, seed, options, say });
    add(totals, result);
    say(`orders: ${describe(result)}`);
    if (totals.violations.length > 0) return;
  }
}

function add(totals: OrderTotals, result: OrderResult): void {
  totals.rounds++;
  for (const [name, value] of Object.entries(result)) {
    const known = totals as unknown as Record<string, number | string[]>;
    if (typeof value === "number") known[name] = (known[name] as number) + value;
    else (known[name] as string[]).push(...value);
  }
}

/** Rounds with a fix taken out, until it is missed; the last of them. */
export async function roundsWithout(
  { build, seed, settings, say }: OrderRun,
  name: string,
): Promise<OrderResult> {
  using mutated = without(build, name);
  const { options } = MUTATIONS[name] ?? {};
  const seconds = settings.flood ?? WITHOUT_SECONDS;
  const all = { ...CALM, ...PATIENT, ...options, brief: true, ...settings.own, seconds };
  for (let number = 1; ; number++) {
    const round = { build: mutated, seed: seed + number, options: all, say };
    const result = await ordersRound(round);
    if (result.violations.length > 0 || number === WITHOUT_ROUNDS) return result;
    say(`not found in round ${number}: ${describe(result)}`);
  }
}

/** One line about what was found. */
export function describe(result: OrderResult): string {
  const { accepted, refused, arrived, lost, wrong, duplicates, stuck, unasked, reused } = result;
  const { acts, disturbances } = result;
  return (
    `accepted ${accepted}, refused ${refused}, arrived ${arrived}, lost ${lost}, ` +
    `wrong person ${wrong}, duplicates ${duplicates}, stuck ${stuck}, ` +
    `arrived though refused ${unasked}, reused numbers ${reused}, ${acts} actions, ` +
    `${disturbances} disturbances`
  );
}

/** The mode: rounds for `seconds`; 0: the short form. Returns the exit code. */
export async function ordersMode({
  seconds,
  ...run
}: OrderRun & { readonly seconds: number }): Promise<number> {
  const { build, seed, settings, say } = run;
  const totals = newOrderTotals();
  const began = performance.now();
  if (settings.without !== null) {
    add(totals, await roundsWithout(run, settings.without));
  } else if (settings.flood !== null) {
    const options = { ...CALM, list: 3000, ...settings.own, seconds: settings.flood };
    add(totals, await ordersRound({ build, seed, options, say }));
  } else if (seconds === 0) {
    await quickOrders(run, totals);
  } else {
    const over = () => performance.now() - began > seconds * 1000 || totals.violations.length > 0;
    for (let number = 0; number === 0 || !over(); number++) await orderRound(run, number, totals);
  }
  for (const violation of totals.violations) console.log(`violation: ${violation}`);
  const took = Math.round((performance.now() - began) / 1000);
  console.log(`torture: ${describe(totals)}, seed ${seed}, ${took} s`);
  return totals.violations.length > 0 ? 1 : 0;
}
