/** `qmailctl install`: the five steps of an installation, each as rows of desired state against actual state. */

import { existsSync } from "node:fs";
import { dirname } from "node:path";
import kleur from "kleur";
import { EXIT } from "../qmail/exit.ts";
import type { Config } from "./config.ts";
import { aliases } from "./install/aliases.ts";
import { boot } from "./install/boot.ts";
import { controls } from "./install/controls.ts";
import { hostName } from "./install/host-name.ts";
import { programs } from "./install/programs.ts";
import { InstallContext, type Row, type RowState, type Step } from "./install/step.ts";
import { users } from "./install/users.ts";
import { warnings } from "./install/warnings.ts";
import { CommandError, type Output } from "./output.ts";

const STEPS: readonly Step[] = [users, programs, controls, aliases, boot];
const CLIENT_STEPS: readonly Step[] = [users, programs, controls];

export interface InstallOptions {
  readonly config: Config;
  /** Only say what would be changed. */
  readonly dryRun?: boolean;
  /** Overwrite what a person has edited. */
  readonly force?: boolean;
  /** Only a line for each step. */
  readonly brief?: boolean;
  readonly output: Output;
}

export interface RowReport {
  readonly name: string;
  readonly state: RowState;
  /** What was not as it should be; null for `ok`. */
  readonly why: string | null;
  /** For `edited`: how the file differs from what install would write. */
  readonly edits?: readonly string[];
}

export interface StepReport {
  readonly step: string;
  readonly rows: readonly RowReport[];
}

export interface InstallReport {
  readonly home: string;
  readonly dryRun: boolean;
  readonly changed: boolean;
  readonly edited: boolean;
  /** What is not install's to change, and yet should not be so. */
  readonly warnings: readonly string[];
  readonly steps: readonly StepReport[];
}

/** Brings the installation into the state that the config describes. Throws CommandError, with nothing half-written. */
export async function install(options: InstallOptions): Promise<InstallReport> {
  const { config, dryRun = false, force = false, brief = false, output } = options;
  checkPrivilege(config);
  if (config.hubs) checkNoServer(config.home);
  const context = new InstallContext(config, force);
  // Before anything is touched: nobody wants half a mail server without a name.
  context.host = await attempt("the host's name", () => hostName(context));
  const steps: StepReport[] = [];
  try {
    for (const [at, step] of (config.hubs ? CLIENT_STEPS : STEPS).entries()) {
      const report = await runStep(step, context, { dryRun, number: at + 1 });
      steps.push(report);
      if (!dryRun) await attempt("remember what was written", () => context.save());
      print(report, { output, dryRun, brief, number: at + 1 });
    }
  } catch (error) {
    // The next run must know the files of this one, too.
    if (!dryRun) saveIfPossible(context);
    throw error;
  }
  const states = steps.flatMap(({ rows }) => rows.map(({ state }) => state));
  const report = {
    home: config.home,
    dryRun,
    changed: states.includes("changed"),
    edited: states.includes("edited"),
    warnings: warnings(config),
    steps,
  };
  for (const warning of report.warnings) output.note(`warning: ${warning}`);
  output.data(report);
  output.line(summary(report, config.hubs !== null));
  return report;
}

function checkPrivilege(config: Config): void {
  if (config.sandbox || process.getuid?.() === 0) return;
  throw new CommandError("cannot install a mail system for the whole machine: not root", {
    code: EXIT.hard,
    hints: [
      "run it as root: sudo qmailctl install",
      "or install all of it under one directory, as yourself: qmailctl install --sandbox --home DIR",
    ],
  });
}

function saveIfPossible(context: InstallContext): void {
  try {
    context.save();
  } catch {
    // The error that is told already is the better one.
  }
}

/** What is in the queue of a whole mail server would stay there for ever. */
function checkNoServer(home: string): void {
  if (!existsSync(`${home}/queue`)) return;
  throw new CommandError(`cannot make a null client of ${home}: it has a queue`, {
    code: EXIT.hard,
    hints: ["choose another home", "or, when the queue is empty, remove what is there"],
  });
}

async function runStep(
  step: Step,
  context: InstallContext,
  { dryRun, number }: { dryRun: boolean; number: number },
): Promise<StepReport> {
  const where = `step ${number}, ${step.title}`;
  const rows: RowReport[] = [];
  for (const row of await attempt(where, () => step.rows(context))) {
    rows.push(await attempt(`${where}: ${row.name}`, () => runRow(row, dryRun)));
  }
  return { step: step.title, rows };
}

async function runRow(row: Row, dryRun: boolean): Promise<RowReport> {
  const { name } = row;
  const why = row.inspect();
  if (why === null) return { name, state: "ok", why };
  const edits = row.edits?.();
  if (edits) return { name, state: "edited", why: "edited by hand", edits };
  if (!dryRun) await row.apply();
  return { name, state: "changed", why };
}

/** Says of a failure which step it was, and what helps. */
async function attempt<T>(where: string, action: () => T | Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof CommandError) {
      const { code, hints } = error;
      throw new CommandError(`install: ${where}: ${error.message}`, { code, hints, cause: error });
    }
    const { code, message } = error as NodeJS.ErrnoException;
    const hint = code === undefined ? undefined : HINTS[code];
    if (hint === undefined) throw error;
    throw new CommandError(`install: ${where}: ${message}`, { hints: [hint, AGAIN], cause: error });
  }
}

const AGAIN = "what was done so far is whole: run qmailctl install again to go on";

const HINTS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full: make room",
  EDQUOT: "the disk quota is used up: make room",
  EACCES: "permission denied: run as the user who owns the directory, or as root",
  EPERM: "not permitted: run as the user who owns the directory, or as root",
  EROFS: "the filesystem is read-only: choose another home",
  ENOTDIR: "a file is in the way of a directory: remove it, or choose another home",
  EEXIST: "a file is in the way: remove it, or choose another home",
};

function print(
  { step, rows }: StepReport,
  options: { output: Output; dryRun: boolean; brief: boolean; number: number },
): void {
  const { output, dryRun, brief, number } = options;
  const changed = rows.filter(({ state }) => state === "changed");
  const edited = rows.filter(({ state }) => state === "edited");
  const word = dryRun ? "would change" : "changed";
  const counts = [
    changed.length > 0 ? kleur.green(`${changed.length} ${word}`) : "",
    edited.length > 0 ? kleur.yellow(`${edited.length} edited by hand, left alone`) : "",
    changed.length + edited.length === 0 ? "ok" : "",
  ];
  const title = `${number}. ${step}`.padEnd(TITLE_WIDTH);
  output.line(`${title}  ${counts.filter(Boolean).join(", ")}`);
  if (!brief) for (const line of collapse(changed, dryRun)) output.line(kleur.dim(`     ${line}`));
  for (const { name, edits } of edited) {
    output.line(`     ${kleur.yellow(name)}`);
    for (const line of edits ?? []) output.line(`       ${line}`);
  }
}

const TITLE_WIDTH = Math.max(...STEPS.map(({ title }) => title.length)) + "1. ".length;

/** Long lists (the queue has 120 directories) are told in a line per directory. */
function collapse(rows: readonly RowReport[], dryRun: boolean): string[] {
  const groups = new Map<string, RowReport[]>();
  for (const row of rows) {
    // "user alias" goes with the users, "queue/mess/0" with its neighbours.
    const [kind, name] = row.name.split(" ");
    const key = `${name === undefined ? dirname(row.name) : kind} ${row.why}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()].map((group) => {
    const [first] = group as [RowReport];
    const names = group.map(({ name }) => name);
    const all = names.length <= 3 ? names.join(", ") : `${first.name} ... ${names.at(-1)}`;
    const count = names.length <= 3 ? "" : ` (${names.length})`;
    return `${all}${count}: ${dryRun ? first.why : done(first.why ?? "")}`;
  });
}

/** What was done about it. */
function done(why: string): string {
  const words: Record<string, string> = {
    missing: "made",
    "not as it should be": "rewritten",
    "not wanted any more": "removed",
  };
  return words[why] ?? `${why}: put right`;
}

function summary({ home, dryRun, changed, edited }: InstallReport, client: boolean): string {
  if (dryRun)
    return changed
      ? `Nothing was done. Run without --dry-run to change it.`
      : `${home} is as it should be.`;
  const note = edited ? "\nFiles edited by hand were left alone; --force overwrites them." : "";
  return `${changed ? `The ${client ? "null client" : "mail server"} is installed in ${home}.` : `${home} is as it should be: nothing changed.`}${note}`;
}
