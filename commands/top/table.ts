/** A table in the width there is: columns give way in the order of their worth, flexible ones share what is left. */

import kleur from "kleur";
import { fit } from "../printable.ts";

export interface Column {
  readonly title: string;
  /** In columns of the terminal; of a flexible one the least. */
  readonly width: number;
  /** Its share of what is left. */
  readonly flex?: number;
  readonly align?: "right";
  /** The terminal's width from which it is shown. */
  readonly from?: number;
}

export type Colour = "red" | "yellow" | "green" | "cyan" | "dim";

export interface Cell {
  readonly text: string;
  /** What it is sorted by. */
  readonly order: number | string;
  readonly colour?: Colour;
}

export interface Row {
  /** Tells the row from others, now and later. */
  readonly key: string;
  /** The message that it is about. */
  readonly id: string | null;
  readonly cells: readonly Cell[];
  /** What does not fit in a row, for whoever asks: one line each. */
  readonly more: readonly string[];
}

const GAP = 2;

/** The width of each column in a terminal of `width`; 0: not shown. */
export function layout(columns: readonly Column[], width: number): number[] {
  const widths = columns.map((column) => ((column.from ?? 0) <= width ? column.width : 0));
  while (lineWidth(widths) > width && widths.filter(Boolean).length > 1) {
    widths[widths.findLastIndex(Boolean)] = 0;
  }
  const left = width - lineWidth(widths);
  if (left < 0) return widths.map((each) => Math.min(each, width));
  const shares = columns.map(({ flex = 0 }, at) => (widths[at] === 0 ? 0 : flex));
  const all = Math.max(1, sum(shares));
  return widths.map((each, at) => each + Math.floor((left * (shares[at] as number)) / all));
}

function lineWidth(widths: readonly number[]): number {
  return sum(widths) + GAP * Math.max(0, widths.filter(Boolean).length - 1);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, each) => all + each, 0);
}

/** The titles; the one that is sorted by tells which way. */
export function titleLine(
  columns: readonly Column[],
  widths: readonly number[],
  sort: { readonly column: number; readonly down: boolean } | null,
): string {
  const titles = columns.map(({ title }, at) => {
    return sort?.column === at ? `${title}${sort.down ? "▾" : "▴"}` : title;
  });
  return kleur.bold(kleur.dim(joined(columns, widths, titles)));
}

/** One row, as wide as the widths; `chosen` is what the cursor is on. */
export function rowLine(
  columns: readonly Column[],
  widths: readonly number[],
  { row, chosen }: { row: Row; chosen: boolean },
): string {
  const texts = row.cells.map(({ text }) => text);
  if (chosen) return kleur.inverse(joined(columns, widths, texts));
  return joined(columns, widths, texts, (text, at) => {
    const colour = row.cells[at]?.colour;
    return colour === undefined ? text : kleur[colour](text);
  });
}

function joined(
  columns: readonly Column[],
  widths: readonly number[],
  texts: readonly string[],
  paint: (text: string, at: number) => string = (text) => text,
): string {
  const cells = columns.flatMap(({ align }, at) => {
    const width = widths[at] as number;
    return width > 0 ? [paint(fit(texts[at] ?? "", width, align), at)] : [];
  });
  return cells.join(" ".repeat(GAP));
}
