/**
 * A command whose first word says what to do: `queue list`, `queue show 123`. One row an action, so that
 * each takes only its own options and `--help` can tell what goes together.
 *
 * cac knows commands of one word: it is told of one, with the options of all actions.
 */

import type { CAC } from "cac";
import { UsageError } from "../commands/output.ts";
import { texts } from "./arguments.ts";
import type { Flags } from "./flags.ts";
import { flagOf, unknown } from "./mistakes.ts";

export interface OptionRow {
  /** As cac has it: "--sort <column>". */
  readonly flags: string;
  readonly what: string;
}

/** Options that several actions take, told once. */
export interface OptionGroup {
  readonly title: string;
  readonly options: readonly OptionRow[];
}

export interface Action {
  readonly name: string;
  /** What is written behind the name: "[ID...]", "TEXT"; empty when there is nothing. */
  readonly words: string;
  /** In one line. */
  readonly what: string;
  readonly groups: readonly OptionGroup[];
  readonly options: readonly OptionRow[];
  run(words: readonly string[], flags: Flags): Promise<void>;
}

export interface ActionTable {
  readonly command: string;
  readonly what: string;
  readonly actions: readonly Action[];
  /** The action that is meant when none is named. */
  readonly usual: string;
  readonly examples: readonly string[];
}

/** Adds the command of `table` to `cli`. */
export function actionCommand(cli: CAC, table: ActionTable): void {
  const command = cli.command(`${table.command} [action] [...words]`, table.what);
  const options = table.actions.flatMap(optionsOf);
  for (const [flags, what] of new Map(options.map((row) => [row.flags, row.what]))) {
    command.option(flags, what);
  }
  command.action(async (name: string | undefined, words: readonly string[], flags: Flags) => {
    const action = findAction(table, name ?? table.usual);
    checkFlags(table, action, flags);
    if (action.words === "" && words.length > 0) {
      throw new UsageError(
        `qmailctl ${table.command} ${action.name} takes no argument "${texts(words)[0]}"`,
        [`see qmailctl ${table.command} ${action.name} --help`],
      );
    }
    await action.run(texts(words), flags);
  });
}

function findAction({ command, actions }: ActionTable, name: string): Action {
  const found = actions.find((action) => action.name === name);
  const names = actions.map((action) => action.name);
  if (!found) throw unknown(`${command} action`, texts(name)[0] ?? "", names);
  return found;
}

function optionsOf({ groups, options }: Action): OptionRow[] {
  return [...groups.flatMap((group) => group.options), ...options];
}

/** What every command takes, as cac tells it to actions. */
const GLOBAL = new Set(["--", "config", "home", "json", "help", "h", "version", "v"]);

function checkFlags(table: ActionTable, action: Action, flags: Flags): void {
  const own = new Set(optionsOf(action).map(written));
  for (const name of Object.keys(flags)) {
    const flag = flagOf(name);
    if (GLOBAL.has(name) || own.has(flag)) continue;
    const takers = table.actions.filter((each) =>
      optionsOf(each).some((row) => written(row) === flag),
    );
    throw new UsageError(`qmailctl ${table.command} ${action.name} takes no option "${flag}"`, [
      `it goes with: ${takers.map(({ name }) => name).join(", ")}`,
    ]);
  }
}

/** "--sort" of "--sort <column>". */
function written({ flags }: OptionRow): string {
  return flags.replace(/ .*/s, "");
}

interface Section {
  title?: string;
  body: string;
}

/** What `--help` says of the action `name`, or of all; `globals` are the options of every command. */
export function actionHelp(
  table: ActionTable,
  name: string | undefined,
  globals: readonly OptionRow[],
): Section[] {
  const { command, actions } = table;
  const action = actions.find((each) => each.name === name);
  if (!action) {
    return [
      usage(`${command} [ACTION] [ARGUMENT...] [OPTION...]`),
      rows(
        "Actions",
        actions.map((each) => [`${each.name} ${each.words}`, each.what]),
      ),
      ...groupsOf(actions).map(({ title, options }) => optionRows(title, options)),
      optionRows("Options of all", globals),
      { title: "Examples", body: table.examples.map((line) => `  ${line}`).join("\n") },
      { body: `qmailctl ${command} ACTION --help tells more about one.` },
    ];
  }
  return [
    usage(`${command} ${action.name} ${action.words} [OPTION...]`),
    { body: `${action.what}.` },
    ...action.groups.map(({ title, options }) => optionRows(title, options)),
    optionRows("Options", [...action.options, ...globals]),
  ];
}

function usage(text: string): Section {
  return { title: "Usage", body: `  $ qmailctl ${text.replace("  ", " ")}` };
}

/** The groups of several actions, each once. */
function groupsOf(actions: readonly Action[]): OptionGroup[] {
  return [...new Set(actions.flatMap(({ groups }) => groups))];
}

function optionRows(title: string, options: readonly OptionRow[]): Section {
  return rows(
    title,
    options.map(({ flags, what }) => [flags, what]),
  );
}

function rows(title: string, all: readonly (readonly [string, string])[]): Section {
  const width = Math.max(...all.map(([name]) => name.length));
  return { title, body: all.map(([name, what]) => `  ${name.padEnd(width)}  ${what}`).join("\n") };
}
