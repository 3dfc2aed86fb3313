/** How results reach a person or a script. Whatever is in them: nothing that a terminal would obey gets there. */

import { once } from "node:events";
import kleur from "kleur";
import type { Column, CommandError, Output } from "../commands/output.ts";
import { harmlessJson, harmlessLines } from "../commands/printable.ts";

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what colours are made of
const COLOURS = /\u001b\[[0-9;]*m/g;

/**
 * Output for a person, or, with `json`, only the documents that commands give to `data`; a list of
 * unknown length with `lines` as a document a line.
 */
export function makeOutput(json: boolean, { lines = false } = {}): Output {
  return {
    json,
    screen: { width: process.stdout.columns ?? null, colour: kleur.enabled },
    line(text = "") {
      if (!json) process.stdout.write(`${harmlessLines(text)}\n`);
    },
    table(columns, rows) {
      if (!json) process.stdout.write(harmlessLines(formatTable(columns, rows)));
    },
    data(value) {
      if (json) process.stdout.write(`${harmlessJson(JSON.stringify(value, null, 2))}\n`);
    },
    dataList(values) {
      if (json) for (const piece of formatList(values)) process.stdout.write(harmlessJson(piece));
    },
    async dataLines(pieces) {
      if (!json) return;
      for await (const piece of lines ? endedLines(pieces) : formatLines(pieces)) {
        process.stdout.write(harmlessJson(piece));
        await drained();
      }
    },
    drained,
    note(text) {
      process.stderr.write(`${harmlessLines(text)}\n`);
    },
  };
}

async function drained(): Promise<void> {
  if (process.stdout.writableNeedDrain) await once(process.stdout, "drain");
}

/** The rows under their titles, columns as wide as their widest cell. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): string {
  const all = [columns.map(({ title }) => kleur.bold(title)), ...rows];
  const widths = columns.map((_, at) =>
    all.reduce((widest, row) => Math.max(widest, width(row[at] ?? "")), 0),
  );
  const lines = all.map((row) =>
    columns
      .map(({ align }, at) => {
        const cell = row[at] ?? "";
        const space = " ".repeat((widths[at] ?? 0) - width(cell));
        return align === "right" ? space + cell : cell + space;
      })
      .join("  ")
      .trimEnd(),
  );
  return `${lines.join("\n")}\n`;
}

/** So much of a list is written at once. */
const PIECE = 64 * 1024;

/** A JSON array as `JSON.stringify` would indent it, piece by piece: it may be longer than a string can be. */
export function* formatList(values: Iterable<unknown>): Generator<string> {
  let text = "[\n";
  let before = "";
  for (const value of values) {
    text += before + JSON.stringify(value, null, 2).replace(/^/gm, "  ");
    before = ",\n";
    if (text.length < PIECE) continue;
    yield text;
    text = "";
  }
  yield before === "" ? "[]\n" : `${text}\n]\n`;
}

/** A JSON array of what `pieces` have, a value a line. */
async function* formatLines(pieces: AsyncIterable<string>): AsyncGenerator<string> {
  let before = "[\n";
  for await (const piece of pieces) {
    yield before + piece.replaceAll("\n", ",\n");
    before = ",\n";
  }
  yield before === "[\n" ? "[]\n" : "\n]\n";
}

async function* endedLines(pieces: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const piece of pieces) yield `${piece}\n`;
}

/** What went wrong, and the ways on. */
export function reportError({ message, hints }: CommandError): void {
  // Standard output decides on colours, but this may go elsewhere.
  const name = process.stderr.isTTY ? kleur.red("qmailctl:") : "qmailctl:";
  const lines = [`${name} ${message}`, ...hints.map((hint) => `  ${hint}`)];
  process.stderr.write(`${harmlessLines(lines.join("\n"))}\n`);
}

function width(cell: string): number {
  return cell.includes("\u001b") ? cell.replace(COLOURS, "").length : cell.length;
}
