/** Which rows there are to show, in which order, and how many lines each table gets. Pure. */

import type { Panel, PanelName } from "./panels.ts";
import { PANELS } from "./panels.ts";
import type { Snapshot } from "./snapshot.ts";
import type { Row } from "./table.ts";
import type { Sort, Ui } from "./ui.ts";

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** A table with its rows in order, and the lines it may take beside its titles. */
export interface Section {
  readonly panel: Panel;
  readonly sort: Sort;
  readonly rows: readonly Row[];
  readonly lines: number;
}

/** The overview shows what is most urgent of these. */
const OVERVIEW: readonly PanelName[] = ["deliveries", "destinations", "errors"];

/** The tables to be shown in `lines` lines, their titles among them. */
export function arrange(snapshot: Snapshot, ui: Ui, lines: number): Section[] {
  const { view } = ui;
  if (view !== "overview") {
    const section = sectionOf(PANELS[view], ui.sorts[view], { snapshot, ui });
    return [{ ...section, lines: Math.max(0, lines - 1) }];
  }
  const all = OVERVIEW.map((name) => sectionOf(PANELS[name], PANELS[name].sort, { snapshot, ui }));
  const most = all.map(({ rows }) => Math.max(rows.length, 1));
  const shares = share(lines - all.length, most);
  return all.flatMap((section, at) => {
    const given = shares[at] as number;
    return given > 0 ? [{ ...section, lines: given, rows: section.rows.slice(0, given) }] : [];
  });
}

/** Every row that the cursor can be on. */
export function allRows(sections: readonly Section[]): Row[] {
  return sections.flatMap(({ rows }) => rows);
}

/** `lines` dealt out evenly, to none more than it wants; what is left over stays with nobody. */
export function share(lines: number, wanted: readonly number[]): number[] {
  const given = wanted.map(() => 0);
  let left = lines;
  while (left > 0) {
    const hungry = given.findIndex(
      (each, at) => each < (wanted[at] as number) && each === Math.min(...unfed(given, wanted)),
    );
    if (hungry < 0) break;
    given[hungry] = (given[hungry] as number) + 1;
    left--;
  }
  return given;
}

function unfed(given: readonly number[], wanted: readonly number[]): number[] {
  return given.filter((each, at) => each < (wanted[at] as number));
}

function sectionOf(
  panel: Panel,
  sort: Sort,
  { snapshot, ui }: { snapshot: Snapshot; ui: Ui },
): Omit<Section, "lines"> {
  const rows = panel.rows(snapshot).filter(filterOf(ui.filter));
  return { panel, sort, rows: rows.sort((a, b) => compare(a, b, sort)) };
}

/** Whether a row has all words of `filter`. */
export function filterOf(filter: string): (row: Row) => boolean {
  const words = filter.toLowerCase().split(" ").filter(Boolean);
  return (row) => words.every((word) => has(row, word));
}

function has({ cells, more }: Row, word: string): boolean {
  return (
    cells.some(({ text }) => text.toLowerCase().includes(word)) ||
    more.some((line) => line.toLowerCase().includes(word))
  );
}

function compare(a: Row, b: Row, { column, down }: Sort): number {
  const x = a.cells[column]?.order ?? "";
  const y = b.cells[column]?.order ?? "";
  const order =
    typeof x === "number" && typeof y === "number" ? x - y : compareTexts(String(x), String(y));
  // Rows that are equal stay where they are, however they came.
  return (down ? -order : order) || compareTexts(a.key, b.key);
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
