/** `qmailctl log report`: qmailanalog's statistics and more, as text, JSON, CSV or a page with plots. */

import { writeFileSync } from "node:fs";
import { basename } from "node:path";
import { CommandError, type Output, UsageError } from "../output.ts";
import { clip, printable } from "../printable.ts";
import { LogReader, type Reading, understood } from "./analysis/read.ts";
import { Statistics } from "./analysis/statistics.ts";
import { csv } from "./report/csv.ts";
import { page } from "./report/html.ts";
import { classic, PROGRAMS } from "./report/qmailanalog.ts";
import { makeTable, overall, TABLES, type Table } from "./report/tables.ts";
import { zsendmail } from "./report/zsendmail.ts";
import { findSources, type SourceOptions } from "./sources.ts";

export interface ReportOptions extends SourceOptions {
  /** Names of tables, also as qmailanalog calls them; none: all. */
  readonly what: readonly string[];
  /** Rows of each table at most; default: 20, of a z-program's table all. */
  readonly top?: number;
  readonly csv: boolean;
  /** Write the page here. */
  readonly html?: string;
  readonly output: Output;
}

/** Reports on the log. */
export async function logReport(options: ReportOptions): Promise<void> {
  const { output, html, what } = options;
  if (what.includes("zsendmail")) return sendmailReport(options);
  const named = what.length > 0 ? what : ["overall", ...Object.keys(TABLES)];
  const names = named.map(tableName);
  const { statistics, reading } = await analyse(options, !what.includes("zsuccesses"));
  if (reading.lines === 0) throw new CommandError("there is no line in this log");
  if (reading.understood === 0) throw nothingUnderstood(reading);
  if (html !== undefined) {
    const tables = makeTables(Object.keys(TABLES), statistics, options.top ?? 20);
    writePage(html, page(statistics, tables, understood(reading)));
    output.line(`Written to ${html}: open it in a browser.`);
    output.data({ reading, html, ...document(statistics, tables) });
  } else if (options.csv || output.json) {
    const tables = makeTables(names, statistics, options.top ?? 20);
    output.data({ reading, ...document(statistics, tables) });
    const figures = names.includes("overall") ? overall(statistics) : null;
    if (options.csv) process.stdout.write(csv(figures, tables));
  } else print(named, { statistics, reading }, options);
  tellUnknown(reading, output);
}

async function sendmailReport(options: ReportOptions): Promise<void> {
  const { what, output, csv: asCsv, html } = options;
  if (what.length > 1 || output.json || asCsv || html !== undefined) {
    throw new UsageError(
      "zsendmail is a log of its own: it goes with no other table and no other form",
    );
  }
  await zsendmail(findSources(options), (text) => process.stdout.write(text, "latin1"));
}

/** A report of nothing would look as if all were well. */
function nothingUnderstood(reading: Reading): CommandError {
  const { lines, unstamped, unknownLines } = reading;
  const why = unstamped === lines ? "no line has a time" : "its lines are in no form known";
  return new CommandError(`none of the ${lines} lines of this log was understood: ${why}`, {
    hints: [...unknownLines.slice(0, 3).map(example), "what is read: docs/log.md"],
  });
}

function tellUnknown(reading: Reading, output: Output): void {
  const { unknownLines, lines } = reading;
  if (reading.understood === lines) return;
  output.note(`${understood(reading)} were understood; others, for example:`);
  for (const line of unknownLines.slice(0, 3)) output.note(`  ${example(line)}`);
}

function example(line: string): string {
  return printable(line.slice(0, 100));
}

function makeTables(names: readonly string[], statistics: Statistics, top: number): Table[] {
  return names.filter((name) => name !== "overall").map((name) => makeTable(name, statistics, top));
}

function document(statistics: Statistics, tables: readonly Table[]) {
  return { overall: overall(statistics), tables: tables.map(toDocument) };
}

/** Reads all that `options` name. */
export async function analyse(
  options: SourceOptions,
  foldSuccesses = true,
): Promise<{ statistics: Statistics; reading: Reading }> {
  const statistics = new Statistics({ foldSuccesses });
  const reader = new LogReader(statistics, Date.now());
  for (const source of findSources(options)) {
    for await (const chunk of source.open()) reader.push(chunk);
    reader.cut();
  }
  return { statistics, reading: reader.reading };
}

/** The table that `word` names, also by the name of the program that prints it. */
function tableName(word: string): string {
  const known = ["overall", ...Object.keys(TABLES)];
  if (known.includes(word)) return word;
  if (word === "zoverall" || word in PROGRAMS) return word.slice(1);
  throw new UsageError(`there is no table "${word}"`, [
    `there is: ${known.join(", ")}`,
    `and as qmailanalog prints them: zoverall, zsendmail, ${Object.keys(PROGRAMS).join(", ")}`,
  ]);
}

function writePage(path: string, text: string): void {
  try {
    // Who writes to whom is nobody else's business; a file that is there keeps the mode that somebody chose.
    writeFileSync(path, text, { mode: 0o600 });
  } catch (error) {
    throw new CommandError(`cannot write "${path}": ${(error as Error).message}`, {
      hints: [`is its directory there? The file is called ${basename(path)}`],
    });
  }
}

function toDocument({ name, columns, rows, total }: Table) {
  const named = rows.map((row) =>
    Object.fromEntries(columns.map((column, at) => [column, row[at]])),
  );
  return { name, total, rows: named };
}

/** Each table as it was named. */
function print(
  named: readonly string[],
  { statistics, reading }: { statistics: Statistics; reading: Reading },
  options: ReportOptions,
): void {
  const { output, top } = options;
  for (const [at, name] of named.entries()) {
    if (name.startsWith("z")) {
      const text = classic(name, statistics, top ?? Number.POSITIVE_INFINITY);
      process.stdout.write(at > 0 ? `\n${text}` : text, "latin1");
    } else if (name === "overall") printOverall(statistics, { reading, output });
    else {
      const table = makeTable(name, statistics, top ?? 20);
      if (table.rows.length > 0 || named.length < 5) printTable(table, output);
    }
  }
}

function printOverall(
  statistics: Statistics,
  { reading, output }: { reading: Reading; output: Output },
): void {
  output.line(`Basic statistics of ${understood(reading)}`);
  const rows = Object.entries(overall(statistics)).map(([name, value]) => [
    name,
    Number.isInteger(value) ? String(value) : value.toFixed(6),
  ]);
  output.table([{ title: "" }, { title: "", align: "right" }], rows);
}

const WIDTH = 80;

function printTable({ title, about, columns, rows, total }: Table, output: Output): void {
  output.line("");
  output.line(rows.length < total ? `${title} (${rows.length} of ${total})` : title);
  output.line(about);
  const cells = rows.map((row) => row.map(String));
  const widths = columns.map((column, at) =>
    Math.max(column.length, ...cells.map((row) => (row[at] ?? "").length)),
  );
  const numbers = widths.slice(0, -1).reduce((sum, width) => sum + width + 2, 0);
  const room = Math.max(20, WIDTH - numbers);
  output.table(
    columns.map((column, at) => ({
      title: column,
      align: at < columns.length - 1 ? "right" : "left",
    })),
    cells.map((row) => [...row.slice(0, -1), clip(printable(row.at(-1) ?? ""), room)]),
  );
}
