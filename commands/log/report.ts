/** `qmailctl log report`: qmailanalog's statistics and more, as text, JSON, CSV or a page with plots. */

import { writeFileSync } from "node:fs";
import { basename } from "node:path";
import { CommandError, type Output, UsageError } from "../output.ts";
import { LogReader, type Reading } from "./analysis/read.ts";
import { Statistics } from "./analysis/statistics.ts";
import { csv } from "./report/csv.ts";
import { page } from "./report/html.ts";
import { makeTable, overall, TABLES, type Table } from "./report/tables.ts";
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
  const { output, html, top = 20 } = options;
  const names = tableNames(options.what);
  const { statistics, reading } = await analyse(options);
  if (reading.lines === 0) throw new CommandError("there is no line in this log");
  const all = html === undefined ? names : ["overall", ...Object.keys(TABLES)];
  const tables = all
    .filter((name) => name !== "overall")
    .map((name) => makeTable(name, statistics, top));
  if (html !== undefined) {
    writePage(html, page(statistics, tables));
    output.line(`Written to ${html}: open it in a browser.`);
  }
  if (options.csv)
    process.stdout.write(csv(names.includes("overall") ? overall(statistics) : null, tables));
  else if (html === undefined) print(names, statistics, tables, output);
  output.data({
    reading,
    overall: overall(statistics),
    tables: tables.map(toDocument),
    ...(html === undefined ? {} : { html }),
  });
  if (reading.unknown > 0) {
    output.note(`${reading.unknown} of ${reading.lines} lines are in no form known, for example:`);
    for (const line of reading.unknownLines.slice(0, 3)) output.note(`  ${line.slice(0, 100)}`);
  }
}

/** Reads all that `options` name. */
export async function analyse(
  options: SourceOptions,
): Promise<{ statistics: Statistics; reading: Reading }> {
  const statistics = new Statistics();
  const reader = new LogReader(statistics, Date.now());
  for (const source of findSources(options)) {
    for await (const chunk of source.open()) reader.push(chunk);
    reader.cut();
  }
  return { statistics, reading: reader.reading };
}

function tableNames(what: readonly string[]): string[] {
  const known = ["overall", ...Object.keys(TABLES)];
  if (what.length === 0) return known;
  return what.map((word) => {
    const name = known.includes(word) ? word : word.replace(/^z/, "");
    if (!known.includes(name)) {
      throw new UsageError(`there is no table "${word}"`, [`there is: ${known.join(", ")}`]);
    }
    return name;
  });
}

function writePage(path: string, text: string): void {
  try {
    writeFileSync(path, text);
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

function print(
  names: readonly string[],
  statistics: Statistics,
  tables: readonly Table[],
  output: Output,
): void {
  if (names.includes("overall")) {
    output.line("Basic statistics");
    const rows = Object.entries(overall(statistics)).map(([name, value]) => [
      name,
      Number.isInteger(value) ? String(value) : value.toFixed(6),
    ]);
    output.table([{ title: "" }, { title: "", align: "right" }], rows);
  }
  for (const table of tables)
    if (table.rows.length > 0 || names.length < 5) printTable(table, output);
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
    cells.map((row) => [...row.slice(0, -1), shorten(row.at(-1) ?? "", room)]),
  );
}

function shorten(text: string, room: number): string {
  return text.length > room ? `${text.slice(0, room - 3)}...` : text;
}
