/** `qmailctl queue stat`: how much there is, how old, in what state, and who and what it hangs on. */

import kleur from "kleur";
import { queuedIds } from "../../qmail/queue/queue-read.ts";
import { CommandError, type Output } from "../output.ts";
import { AGES, type Census, type Tallies, top } from "./census.ts";
import { countErrors, takeCensus } from "./count.ts";
import { printGroups, tallyJson } from "./groups.ts";
import { LogAttempts, QUICK, sendLog } from "./log-attempts.ts";
import { Oddities } from "./oddities.ts";
import { asText, sizeText, spanText } from "./readable.ts";
import { checkQueue, closed } from "./select.ts";
import type { Selection } from "./selection.ts";
import { STATES, type State } from "./states.ts";

export interface StatOptions {
  readonly home: string;
  readonly selection: Selection;
  /** So many domains, senders and errors. */
  readonly top: number;
  readonly output: Output;
}

const AGE_NAMES = [
  "< 1 minute",
  "< 1 hour",
  "< 6 hours",
  "< 1 day",
  "< 3 days",
  "< 1 week",
  "older",
];
const BAR = 40;

/** Shows statistics of the selected messages in the queue of `home`. */
export async function queueStat({
  home,
  selection,
  top: rows,
  output,
}: StatOptions): Promise<void> {
  const counting = { home, selection, now: Date.now() };
  checkQueue(home);
  const oddities = new Oddities();
  try {
    const census = await takeCensus(counting, oddities.add);
    const errors = lastErrors(counting);
    output.data(toJson(census, errors, rows));
    if (!output.json) print(census, { errors, rows, now: counting.now, output });
    oddities.tell(output);
  } catch (error) {
    throw closed(error);
  }
}

/** As far as a quick look into the log tells; null without one. */
function lastErrors(counting: { home: string; selection: Selection; now: number }): Tallies | null {
  const { home, selection, now } = counting;
  try {
    const directory = sendLog(home, selection.log);
    if (directory === null) return null;
    const wanted = () => queuedIds(`${home}/queue`);
    return countErrors(counting, new LogAttempts(directory, { wanted, limits: QUICK, now }));
  } catch (error) {
    if (selection.log === undefined && error instanceof CommandError) return null;
    throw error;
  }
}

function toJson(
  { all, states, ages, domains, senders }: Census,
  errors: Tallies | null,
  rows: number,
) {
  const list = (tallies: Tallies) =>
    top(tallies, rows).map(([name, tally]) => ({ name: asText(name), ...tallyJson(tally) }));
  return {
    messages: all.messages,
    todo: states.todo,
    bytes: all.bytes,
    oldest: all.messages > 0 ? new Date(all.oldest).toISOString() : null,
    recipients: { left: all.left, done: all.done },
    states,
    ages: AGE_NAMES.map((name, at) => ({ name, below: finite(AGES[at]), messages: ages[at] ?? 0 })),
    domains: list(domains),
    senders: list(senders),
    errors: errors && list(errors),
  };
}

function finite(seconds: number | undefined): number | null {
  return seconds === undefined || !Number.isFinite(seconds) ? null : seconds;
}

function print(
  { all, states, ages, domains, senders }: Census,
  {
    errors,
    rows,
    now,
    output,
  }: { errors: Tallies | null; rows: number; now: number; output: Output },
): void {
  output.line(`messages in queue: ${all.messages}`);
  output.line(`messages in queue but not yet preprocessed: ${states.todo}`);
  if (all.messages === 0) return;
  output.line(`recipients left: ${all.left}, done: ${all.done}`);
  output.line(`size: ${sizeText(all.bytes)}, the oldest is ${spanText(now - all.oldest)} old`);
  const bars = (title: string, counts: readonly (readonly [string, number])[]) => {
    output.line(kleur.bold(`\n${title}`));
    for (const [name, number] of counts) output.line(bar(name, number, all.messages));
  };
  bars(
    "State",
    (Object.keys(STATES) as State[]).map((state) => [state, states[state]] as const),
  );
  bars(
    "Age",
    AGE_NAMES.map((name, at) => [name, ages[at] ?? 0] as const),
  );
  const group = (tallies: Tallies, by: string) => {
    if (tallies.size === 0) return;
    output.line();
    printGroups(top(tallies, rows), { by, now, output });
  };
  group(domains, "domain");
  group(senders, "sender");
  if (errors) group(errors, "last error");
}

function bar(name: string, number: number, all: number): string {
  const length = number > 0 ? Math.max(1, Math.round((BAR * number) / all)) : 0;
  return `  ${name.padEnd(12)}${String(number).padStart(8)}  ${"█".repeat(length)}`.trimEnd();
}
