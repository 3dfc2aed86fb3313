/**
 * `npm run torture [-- --quick | --minutes N] [--seed N]`: proves by trying that nothing accepted is lost,
 * and that nobody gets what was not for him.
 *
 * Kills every process at its file operations in turn, builds the trees that power cuts may leave, starts
 * the real system on each, floods it while everything happens in another order (with --orders only that), and
 * checks the law of qmail/INTERNALS.md. The last line says what was tried;
 * the exit code is 1 when the law was broken.
 */

import { existsSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import type { Filesystem } from "./disk.ts";
import { type KillResult, killHarness } from "./kill.ts";
import {
  describe,
  newOrderTotals,
  ORDER_ARGS,
  ORDER_USAGE,
  type OrderRun,
  type OrderTotals,
  orderRound,
  ordersMode,
  parseOrders,
  quickOrders,
} from "./order-run.ts";
import { type PowerCutResult, powerCutHarness, SHM } from "./powercut.ts";
import { compile } from "./site.ts";

/** Without the floods a quick run stays below 45 seconds on a slow machine with two processors, with them below 90. */
const QUICK = { seconds: 34, killSeconds: 4, cut: { cutMs: 3000, recoverMs: 0, trees: 12 } };
const LONG = { cutMs: 40_000, recoverMs: 60_000, trees: 120 };
const DEFAULT_MINUTES = 6;
/** So many floods follow each round of cuts and kills. */
const FLOODS = 3;

const FILESYSTEMS: readonly { readonly kind: Filesystem; readonly name: string }[] = [
  { kind: "journal", name: "as ext4 and xfs" },
  { kind: "carrying", name: "as btrfs" },
  { kind: "strict", name: "as POSIX only" },
];

interface Totals {
  operations: number;
  crashes: number;
  states: number;
  lost: number;
  duplicates: number;
  cut: number;
  violations: string[];
}

function say(text: string): void {
  process.stderr.write(`torture: ${text}\n`);
}

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      minutes: { type: "string", default: String(DEFAULT_MINUTES) },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      orders: { type: "boolean", default: false },
      ...ORDER_ARGS,
    },
  });
  const seed = Number(values.seed);
  const minutes = Number(values.minutes);
  const orders = parseOrders(values);
  if (!Number.isInteger(seed) || !(minutes > 0) || !orders) {
    process.stderr.write("torture: usage: torture [--quick | --minutes N] [--seed N]\n");
    process.stderr.write(
      `       torture --orders [--quick | --minutes N] [--seed N] ${ORDER_USAGE}\n`,
    );
    return 2;
  }
  say(`seed ${seed}`);
  using build = compile();
  if (values.orders) {
    const seconds = values.quick ? 0 : minutes * 60;
    return await ordersMode({ build, seed, seconds, settings: orders, say });
  }
  const totals: Totals = {
    operations: 0,
    crashes: 0,
    states: 0,
    lost: 0,
    duplicates: 0,
    cut: 0,
    violations: [],
  };
  const floods = newOrderTotals();
  const began = performance.now();
  const seconds = values.quick ? QUICK.seconds : minutes * 60;
  const over = () => values.quick || performance.now() - began > seconds * 1000;
  for (let round = 0; round === 0 || !over(); round++) {
    for (const { kind, name } of FILESYSTEMS) {
      if (kind === "carrying" && !existsSync(SHM)) continue;
      const result = await powerCutHarness({
        build,
        seed: seed + round,
        filesystem: kind,
        ...(values.quick ? QUICK.cut : LONG),
      });
      addCut(totals, result, name);
    }
    const left = seconds - (performance.now() - began) / 1000;
    const killSeconds = Math.max(QUICK.killSeconds, Math.min(180, left));
    const result = await killHarness({
      build,
      seed: seed + round,
      until: performance.now() + killSeconds * 1000,
      sites: Math.max(1, Math.min(2, cpus().length)),
      say,
    });
    addKill(totals, result);
    if (totals.violations.length > 0) break;
    const run = { build, seed: seed + round, settings: orders, say };
    if (values.quick) await quickOrders(run, floods);
    else await ordersFor(run, round, floods);
    if (floods.violations.length > 0) break;
  }
  totals.violations.push(...floods.violations);
  totals.lost += floods.lost;
  for (const violation of totals.violations) console.log(`violation: ${violation}`);
  console.log(`torture: orders: ${describe(floods)}`);
  const { operations, crashes, states, lost, duplicates, cut } = totals;
  console.log(
    `torture: ${operations} file operations, ${crashes} processes killed, ${states} crash states, ` +
      `lost ${lost}, ${duplicates} duplicates where the law allows them, ${cut} cut-off mbox entries, ` +
      `${totals.violations.length} violations, seed ${seed}, ` +
      `${Math.round((performance.now() - began) / 1000)} s`,
  );
  return totals.violations.length > 0 || lost > 0 ? 1 : 0;
}

/** Some kinds of floods, the next in the next round. */
async function ordersFor(run: OrderRun, round: number, floods: OrderTotals): Promise<void> {
  for (let number = round * FLOODS; number < (round + 1) * FLOODS; number++) {
    if (floods.violations.length === 0) await orderRound(run, number, floods);
  }
}

function addCut(totals: Totals, result: PowerCutResult, name: string): void {
  add(totals, result);
  totals.states += result.states;
  say(
    `power cut, a filesystem ${name}: ${result.operations} operations, ${result.moments} moments, ` +
      `${result.states} trees, ${result.recovered} remains of messages recovered, ` +
      `lost ${result.lost}, ${result.duplicates} duplicates`,
  );
}

function addKill(totals: Totals, result: KillResult): void {
  add(totals, result);
  totals.crashes += result.crashes;
  totals.states += result.crashes;
  say(
    `kill: ${result.operations} operations, ${result.crashes} kills at ${result.places.size} kinds of ` +
      `places, lost ${result.lost}, ${result.duplicates} duplicates`,
  );
}

function add(totals: Totals, result: KillResult | PowerCutResult): void {
  totals.operations += result.operations;
  totals.lost += result.lost;
  totals.duplicates += result.duplicates;
  totals.cut += result.cut;
  totals.violations.push(...result.violations);
}

process.exitCode = await main(process.argv.slice(2));
