/** `qmailctl help`, `--help`, and `COMMAND --help`. */

import type { CAC } from "cac";
import { type ActionTable, actionHelp } from "./actions.ts";
import { texts } from "./arguments.ts";
import { unknown } from "./mistakes.ts";

const WHAT = "a qmail mail server from one package and one typed file";

type Sections = Parameters<NonNullable<Parameters<CAC["help"]>[0]>>[0];

/** Has `cli` answer `--help` in our form; commands with actions are in `tables`. */
export function describeHelp(cli: CAC, version: string, tables: readonly ActionTable[]): void {
  cli.help((sections) => {
    const { matchedCommand } = cli;
    const what = matchedCommand ? `${matchedCommand.name}: ${matchedCommand.description}` : WHAT;
    const table = tables.find(({ command }) => command === matchedCommand?.name);
    const [, ...rest] = matchedCommand ? sections : overview(cli, sections);
    if (table) rest.splice(0, rest.length, ...tableHelp(cli, table));
    return [{ body: `qmailctl ${version}, ${what}` }, ...rest.map(trimmed)];
  });
}

/** Shows what `command` does, or everything. Throws UsageError when there is no such command. */
export function showHelp(cli: CAC, command: string | undefined): void {
  const found = cli.commands.find(
    ({ name, aliasNames }) => name === command || aliasNames.includes(String(command)),
  );
  if (command !== undefined && !found) throw unknown("command", command, commandNames(cli));
  cli.unsetMatchedCommand();
  if (found) cli.matchedCommand = found;
  (found ?? cli.globalCommand).outputHelp();
}

function tableHelp(cli: CAC, table: ActionTable): Sections {
  const named = texts(cli.args).find((word) => table.actions.some(({ name }) => name === word));
  const globals = cli.globalCommand.options.map(({ rawName, description }) => ({
    flags: rawName,
    what: description,
  }));
  return actionHelp(table, named, globals);
}

/** Every word that can be typed as a command. */
export function commandNames(cli: CAC): string[] {
  return cli.commands.flatMap(({ name, aliasNames }) => [name, ...aliasNames]);
}

/** cac repeats every command with `--help` behind it: one line says as much. */
function overview(cli: CAC, sections: Sections): Sections {
  const rows = cli.commands.map(({ rawName, aliasNames, description }) => {
    const also = aliasNames.length > 0 ? ` (also: ${aliasNames.join(", ")})` : "";
    return [rawName, description + also] as const;
  });
  const width = Math.max(...rows.map(([name]) => name.length));
  const commands = rows.map(([name, what]) => `  ${name.padEnd(width)}  ${what}`).join("\n");
  return [
    ...sections
      .filter(({ title = "" }) => !title.startsWith("For more info"))
      .map((section) => (section.title === "Commands" ? { ...section, body: commands } : section)),
    { body: "qmailctl COMMAND --help tells more about one." },
  ];
}

/** In the width of the terminal, if it is one; without blanks at the ends of lines. */
function trimmed(section: Sections[number]): Sections[number] {
  const { columns = Number.POSITIVE_INFINITY } = process.stdout;
  const lines = section.body.split("\n").flatMap((line) => wrapRow(line.trimEnd(), columns));
  return { ...section, body: lines.join("\n") };
}

/** A terminal with less room for the texts than this is left to break them itself. */
const ROOM_MIN = 20;

/** A row, "  name  text", in lines of at most `width`, the text below itself. */
export function wrapRow(line: string, width: number): string[] {
  const [, name, text = ""] = /^( {2}\S.*? {2,})(\S.*)$/.exec(line) ?? [];
  if (name === undefined || line.length <= width || width - name.length < ROOM_MIN) return [line];
  const lines: string[] = [];
  let rest = "";
  for (const word of text.split(" ")) {
    if (rest !== "" && name.length + rest.length + 1 + word.length > width) {
      lines.push(rest);
      rest = word;
    } else rest = rest === "" ? word : `${rest} ${word}`;
  }
  return [...lines, rest].map((each, at) => (at === 0 ? name : " ".repeat(name.length)) + each);
}
