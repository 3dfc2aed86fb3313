/**
 * The orders mode: what happens when two things are under way at once, and when a number comes back.
 *
 * Floods a site while syncs come late and fail, others pull the trigger, lists post, administrators act,
 * processes hang and die, and the clock jumps; then lets everything settle, and asks of each message whether
 * each of its recipients has it, whole, and nobody else. Nothing here knows how the queue works.
 */

import { appendFileSync, cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Chance } from "./chance.ts";
import { Flood } from "./flood.ts";
import { MailLedger, type Verdict } from "./mail-ledger.ts";
import { Disturber } from "./order-kills.ts";
import { OrderSite } from "./order-site.ts";
import type { Build } from "./site.ts";
import { Administrator, ForeignQueue, Repeated } from "./stand-ins.ts";

/** How a round is made. */
export interface OrderOptions {
  /** The flood lasts so long. */
  readonly seconds: number;
  readonly clients: number;
  /** From one message of a client to its next: up to so many milliseconds. */
  readonly pauseMs: number;
  /** So many of a hundred messages have a recipient whose mailbox is shut most of the time. */
  readonly waits: number;
  /** So often a second the trigger is pulled. */
  readonly trigger: number;
  /** Recipients of a list, and from post to post. */
  readonly list: number;
  readonly listMs: number;
  /** Messages a second that another's qmail-queue puts in. */
  readonly foreign: number;
  /** Commands a second of administrators. */
  readonly actions: number;
  /** Processes hang, die and are restarted. */
  readonly kills: boolean;
  /** Only this program hangs, each time, and qmail-send is killed; null: all that may happen does. */
  readonly stalled: string | null;
  readonly clock: boolean;
  /** The flood ends as soon as something is wrong. */
  readonly brief: boolean;
  /** What is left is kept although nothing is wrong. */
  readonly keep: boolean;
  /** As in OrderPlan. */
  readonly holds: number;
  readonly holdMs: number;
  readonly failures: number;
  readonly flushMs: number;
}

/** Undisturbed but for the trigger. */
export const CALM: OrderOptions = {
  seconds: 20,
  clients: 60,
  pauseMs: 0,
  waits: 0,
  trigger: 10,
  list: 0,
  listMs: 1000,
  foreign: 0,
  actions: 0,
  kills: false,
  stalled: null,
  clock: false,
  brief: false,
  keep: false,
  holds: 0,
  holdMs: 3000,
  failures: 0,
  flushMs: 0,
};

export interface OrderResult extends Verdict {
  reused: number;
  /** Messages that came only after a restart. */
  stuck: number;
  /** Commands of administrators that were answered, and deaths, stalls and restarts. */
  acts: number;
  disturbances: number;
  readonly violations: string[];
}

export interface OrderRound {
  readonly build: Build;
  readonly seed: number;
  readonly options: OrderOptions;
  readonly say: (text: string) => void;
}

/** What arrives is taken out of the mailboxes so often. */
const COLLECT_MS = 100;
/** So many at once, so that the clients are not held up. */
const COLLECT_MOST = 400;
const URGE_MS = 500;
/** Nothing has come for so long: nothing will. */
const QUIET_MS = 12_000;
const CLOCK_MS = 4000;
/** Mailboxes of those who have to wait are shut for so long. */
const SHUT_SECONDS = 3;

/** Floods, lets it settle, judges. */
export async function ordersRound(round: OrderRound): Promise<OrderResult> {
  const { build, seed, options } = round;
  const site: OrderSite = new OrderSite(build, () => ({
    seed: seed * 1000 + site.starts,
    holds: options.holds,
    holdMs: options.holdMs,
    failures: options.failures,
    flushMs: options.flushMs,
    trace: site.trace,
    ...(options.clock ? { clock: site.clock } : {}),
  }));
  const ledger = new MailLedger();
  const collector = new Repeated(1000 / COLLECT_MS, () => {
    site.collect((text) => ledger.arrived(text), COLLECT_MOST);
    appendFileSync(site.trace, site.takeLog().join(""));
  });
  try {
    await site.start();
    const { acts, disturbances } = await flood(round, site, ledger);
    const stuck = await drain(site, ledger);
    await collector.end();
    await site.stop();
    while (site.collect((text) => ledger.arrived(text)) > 0);
    appendFileSync(site.trace, site.takeLog().join(""));
    return judge(round, site, { verdict: ledger.verdict(), stuck, acts, disturbances });
  } finally {
    await collector.end();
    await site.close();
    site.remove();
  }
}

async function flood(
  { seed, options, say }: OrderRound,
  site: OrderSite,
  ledger: MailLedger,
): Promise<{ acts: number; disturbances: number }> {
  const chance = new Chance(seed);
  const { home, port } = site;
  const note = (text: string) => site.note(text);
  await site.open();
  const clients = new Flood({ ...options, home, port, seed, ledger, note });
  const foreign = new ForeignQueue(site, ledger, chance);
  const administrator = new Administrator(site, ledger, chance);
  const disturber = new Disturber(site, chance, options.stalled);
  const others: Repeated[] = [];
  const often = (aSecond: number, act: () => void | Promise<void>) => {
    if (aSecond > 0) others.push(new Repeated(aSecond, act));
  };
  often(options.trigger, () => site.pull());
  often(options.foreign, () => foreign.put());
  often(options.actions, () => administrator.act());
  if (options.waits > 0) often(1 / SHUT_SECONDS, () => site.letWaitersIn());
  if (options.kills) often(2, () => disturber.disturb());
  if (options.clock) often(1000 / CLOCK_MS, () => disturber.jump());
  const end = performance.now() + options.seconds * 1000;
  const found = () => ledger.wrong > 0 || (ledger.twice > 0 && !options.kills);
  while (performance.now() < end && !(options.brief && found())) await sleep(100);
  await Promise.all(others.map((other) => other.end()));
  await disturber.settle();
  await clients.end();
  site.shut(false);
  if (options.actions > 0) await administrator.release();
  say(`${ledger.accepted} accepted, ${ledger.refused} refused; draining`);
  return { acts: administrator.done, disturbances: disturber.count };
}

/** Lets everything come. Returns how many messages came only because of a restart. */
async function drain(site: OrderSite, ledger: MailLedger): Promise<number> {
  await settled(site, ledger);
  const before = ledger.verdict().lost;
  if (before === 0) return 0;
  site.note(`stuck: ${ledger.verdict().lostTokens.join(" ")}: ${site.work().join(" ")}`);
  await site.restart();
  await settled(site, ledger);
  return before - ledger.verdict().lost;
}

/** Until nothing is left to do, or nothing happens any more. */
async function settled(site: OrderSite, ledger: MailLedger): Promise<void> {
  const since = performance.now();
  for (;;) {
    site.urge();
    await sleep(URGE_MS);
    const idle = [1, 2, 3].every(() => site.work().length === 0);
    const quiet = performance.now() - Math.max(since, ledger.lastArrival);
    if (idle && quiet > 2 * URGE_MS) return;
    if (quiet > QUIET_MS) return;
  }
}

interface Found {
  readonly verdict: Verdict;
  readonly stuck: number;
  readonly acts: number;
  readonly disturbances: number;
}

function judge(round: OrderRound, site: OrderSite, found: Found): OrderResult {
  const { verdict, ...counts } = found;
  const { options } = round;
  const violations = [...verdict.complaints];
  if (verdict.lost > 0) violations.push(`lost: ${verdict.lostTokens.slice(0, 40).join(" ")}`);
  if (counts.stuck > 0) violations.push(`came only after a restart: ${counts.stuck}`);
  if (verdict.bounced > 0) violations.push(`bounced without a reason: ${verdict.bounced}`);
  if (verdict.duplicates > 0 && !options.kills) {
    violations.push(`second copies without a crash: ${verdict.duplicates}`);
  }
  if (violations.length > 0 || options.keep) {
    const kept = keep(site, found);
    if (violations.length === 0) round.say(`kept in ${kept}`);
    else violations.push(`seed ${round.seed}, ${JSON.stringify(options)}, kept in ${kept}`);
  }
  return { ...verdict, ...counts, reused: site.reused, violations };
}

/** Keeps what is left, with the story of each message that is lost. */
function keep(site: OrderSite, { verdict }: Found): string {
  const kept = mkdtempSync(join(tmpdir(), "qmailctl-torture-kept-"));
  cpSync(join(site.home, "queue"), join(kept, "queue"), {
    recursive: true,
    filter: (from) => !/\/lock$/.test(from),
  });
  cpSync(site.trace, join(kept, "trace"));
  writeFileSync(join(kept, "verdict"), `${JSON.stringify(verdict, null, 1)}\n`);
  const trace = readFileSync(site.trace, "latin1").split("\n");
  const wrong = verdict.complaints.flatMap(
    (text) => /(?:person|sender|sent): (\S+)/.exec(text)?.[1] ?? [],
  );
  const { lostTokens, twiceTokens, unaskedTokens } = verdict;
  const some = [lostTokens, wrong, twiceTokens, unaskedTokens].flatMap((all) => all.slice(0, 5));
  for (const token of new Set(some)) {
    writeFileSync(join(kept, `story-${token}`), story(trace, token));
  }
  return kept;
}

/** How far around a message its number's other owners belong to its story, in milliseconds. */
const AROUND_MS = 8000;

/** All that happened with the numbers of the message `token` at about that time. */
function story(trace: readonly string[], token: string): string {
  const name = token.replace(".", "\\.");
  const own = new RegExp(`\\b(to|wait|from)-${name}[.@]|harness ${name} |=${name}\\b`);
  const lines = trace.filter((line) => own.test(line));
  const times = lines.map((line) => Number.parseFloat(line)).filter((time) => time > 0);
  const [first, last] = [Math.min(...times) - AROUND_MS, Math.max(...times) + AROUND_MS];
  const ids = new Set(lines.flatMap((line) => numberOf(line) ?? []));
  const numbers = [...ids].map((id) => new RegExp(`\\b${id}\\b`));
  // Deliveries have numbers of their own, by which their reports are found.
  const deliveries = new Set<string>();
  const belongs = (line: string) => {
    const time = Number.parseFloat(line);
    if (!(time > first && time < last)) return false;
    const delivery = /\bdelivery (\d+):/.exec(line)?.[1] ?? "";
    const ours = own.test(line) || numbers.some((number) => number.test(line));
    if (ours && delivery !== "") deliveries.add(delivery);
    return ours || line.includes(" SIG") || deliveries.has(delivery);
  };
  const sorted = [...trace].sort((a, b) => Number.parseFloat(a) - Number.parseFloat(b));
  return `${token}: numbers ${[...ids].join(" ")}\n${sorted.filter(belongs).join("\n")}\n`;
}

/** A message's number in a line of the trace. */
const NUMBER = /\bmsg (\d+)|\/(?:mess\/\d+|intd|todo)\/(\d+)/;

function numberOf(line: string): string | undefined {
  const match = NUMBER.exec(line);
  return match?.[1] ?? match?.[2];
}
