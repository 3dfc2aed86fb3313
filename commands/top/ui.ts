/** Where the person at the screen is: which panel, sorted how, what is chosen, what is being asked. Pure: a key in, a state out. */

import { ACTIONS, type ActionKey, type ActionName } from "./actions.ts";
import { PANEL_NAMES, PANELS, type PanelName } from "./panels.ts";
import type { Row } from "./table.ts";

export type View = "overview" | PanelName;
export const VIEWS: readonly View[] = ["overview", ...PANEL_NAMES];

export interface Sort {
  readonly column: number;
  readonly down: boolean;
}

/** What takes the keys, when it is not the table. */
export type Mode =
  | { readonly type: "table" }
  | { readonly type: "filter"; readonly text: string }
  | {
      readonly type: "confirm";
      readonly action: ActionName;
      readonly id: string;
      readonly what: string;
    }
  /** A page of text over the table; null while it is being fetched. */
  | {
      readonly type: "page";
      readonly title: string;
      readonly lines: readonly string[];
      readonly top: number;
    }
  | { readonly type: "help" };

export interface Ui {
  readonly view: View;
  readonly sorts: Readonly<Record<PanelName, Sort>>;
  readonly filter: string;
  /** Key of the row that the cursor is on; null: the first. */
  readonly chosen: string | null;
  readonly mode: Mode;
  readonly paused: boolean;
  /** Milliseconds between two looks. */
  readonly interval: number;
  /** What has just been done, or cannot be; shown until the next key. */
  readonly notice: string;
}

/** A key as it is read: its name, or the character. */
export type Key = string;

export type Command =
  | { readonly type: "quit" }
  | { readonly type: "redraw" }
  | { readonly type: "suspend" }
  | { readonly type: "show"; readonly row: Row }
  | { readonly type: "act"; readonly action: ActionName; readonly id: string };

export interface Around {
  /** The rows that are on the screen or beyond its edge, in their order. */
  readonly rows: readonly Row[];
  /** How many of them fit. */
  readonly page: number;
}

export interface Pressed {
  readonly ui: Ui;
  readonly command?: Command;
}

const INTERVALS = [500, 1000, 2000, 5000, 10_000, 30_000, 60_000];
const TABLE: Mode = { type: "table" };

/** How it begins. */
export function newUi(interval: number): Ui {
  const sorts = Object.fromEntries(PANEL_NAMES.map((name) => [name, PANELS[name].sort])) as Record<
    PanelName,
    Sort
  >;
  return {
    view: "overview",
    sorts,
    filter: "",
    chosen: null,
    mode: TABLE,
    paused: false,
    interval,
    notice: "",
  };
}

/** What `key` makes of `ui`. */
export function press(ui: Ui, key: Key, around: Around): Pressed {
  const now = { ...ui, notice: "" };
  if (key === "ctrl-c") return { ui: now, command: { type: "quit" } };
  if (key === "ctrl-l") return { ui: now, command: { type: "redraw" } };
  if (key === "ctrl-z") return { ui: now, command: { type: "suspend" } };
  switch (ui.mode.type) {
    case "table":
      return inTable(now, key, around);
    case "filter":
      return { ui: inFilter(now, ui.mode.text, key) };
    case "confirm":
      return inConfirm(now, ui.mode, key);
    case "page":
      return { ui: inPage(now, ui.mode, key, around.page) };
    case "help":
      return { ui: { ...now, mode: TABLE } };
  }
}

function inTable(ui: Ui, key: Key, around: Around): Pressed {
  const moved = move(ui, key, around);
  if (moved) return { ui: moved };
  if (key in ACTIONS) return act(ui, key as ActionKey, around);
  const number = Number(key);
  if (number >= 1 && number <= VIEWS.length) return { ui: go(ui, VIEWS[number - 1] as View) };
  switch (key) {
    case "q":
      return { ui, command: { type: "quit" } };
    case "?":
    case "f1":
      return { ui: { ...ui, mode: { type: "help" } } };
    case "tab":
    case "right":
      return { ui: go(ui, beside(ui.view, 1)) };
    case "shift-tab":
    case "left":
      return { ui: go(ui, beside(ui.view, -1)) };
    case "/":
      return { ui: { ...ui, mode: { type: "filter", text: ui.filter } } };
    case "escape":
      return { ui: { ...ui, filter: "", chosen: null } };
    case "s":
      return { ui: sortBy(ui, 1) };
    case "S":
      return { ui: sortBy(ui, -1) };
    case "v":
      return { ui: turned(ui) };
    case "space":
      return { ui: { ...ui, paused: !ui.paused } };
    case "+":
      return {
        ui: { ...ui, interval: INTERVALS.find((each) => each > ui.interval) ?? ui.interval },
      };
    case "-":
      return {
        ui: { ...ui, interval: INTERVALS.findLast((each) => each < ui.interval) ?? ui.interval },
      };
    case "return": {
      const row = chosenRow(ui, around.rows);
      return row ? { ui, command: { type: "show", row } } : { ui };
    }
    default:
      return { ui };
  }
}

/** The row that the cursor is on. */
export function chosenRow(ui: Ui, rows: readonly Row[]): Row | null {
  return rows[chosenIndex(ui, rows)] ?? null;
}

/** Its place in `rows`; what has gone leaves the cursor at the top. */
export function chosenIndex({ chosen }: Ui, rows: readonly Row[]): number {
  return Math.max(
    0,
    rows.findIndex(({ key }) => key === chosen),
  );
}

function move(ui: Ui, key: Key, { rows, page }: Around): Ui | null {
  const steps: Readonly<Record<string, number>> = {
    up: -1,
    k: -1,
    down: 1,
    j: 1,
    pageup: -page,
    pagedown: page,
    home: -rows.length,
    g: -rows.length,
    end: rows.length,
    G: rows.length,
  };
  const step = steps[key];
  if (step === undefined) return null;
  const at = chosenIndex(ui, rows) + step;
  const row = rows[Math.min(Math.max(at, 0), rows.length - 1)];
  return { ...ui, chosen: row?.key ?? null };
}

function act(ui: Ui, key: ActionKey, around: Around): Pressed {
  const { name, ask, what } = ACTIONS[key];
  const id = chosenRow(ui, around.rows)?.id ?? null;
  if (id === null) return { ui: { ...ui, notice: `${name}: the chosen row is about no message` } };
  if (!ask) return { ui, command: { type: "act", action: name, id } };
  const question = what.replace("ID", id);
  return { ui: { ...ui, mode: { type: "confirm", action: name, id, what: question } } };
}

function inConfirm(ui: Ui, { action, id }: { action: ActionName; id: string }, key: Key): Pressed {
  const table: Ui = { ...ui, mode: TABLE };
  if (key === "y") return { ui: table, command: { type: "act", action, id } };
  return { ui: { ...table, notice: `${action}: not done` } };
}

/** Typing shows at once what is left. */
function inFilter(ui: Ui, text: string, key: Key): Ui {
  if (key === "return") return { ...ui, mode: TABLE };
  if (key === "escape") return { ...ui, mode: TABLE, filter: "", chosen: null };
  const next = typed(text, key);
  return { ...ui, filter: next, chosen: null, mode: { type: "filter", text: next } };
}

const FILTER_MAX = 200;

function typed(text: string, key: Key): string {
  if (key === "backspace") return [...text].slice(0, -1).join("");
  if (key === "ctrl-u") return "";
  const character = key === "space" ? " " : key;
  return [...character].length === 1 ? (text + character).slice(0, FILTER_MAX) : text;
}

function inPage(ui: Ui, mode: Extract<Mode, { type: "page" }>, key: Key, page: number): Ui {
  const steps: Readonly<Record<string, number>> = {
    up: -1,
    k: -1,
    down: 1,
    j: 1,
    pageup: -page,
    pagedown: page,
    space: page,
  };
  const step = steps[key];
  if (step === undefined) return { ...ui, mode: TABLE };
  const last = Math.max(0, mode.lines.length - page);
  const top = Math.min(Math.max(0, mode.top + step), last);
  return { ...ui, mode: { ...mode, top } };
}

function go(ui: Ui, view: View): Ui {
  return { ...ui, view, chosen: null };
}

function beside(view: View, step: number): View {
  const at = (VIEWS.indexOf(view) + step + VIEWS.length) % VIEWS.length;
  return VIEWS[at] as View;
}

function sortBy(ui: Ui, step: number): Ui {
  const { view } = ui;
  if (view === "overview") return { ...ui, notice: "sort: choose a panel first, with Tab" };
  const { length } = PANELS[view].columns;
  const column = (ui.sorts[view].column + step + length) % length;
  // Numbers are looked at from the largest, texts from the first.
  const down = PANELS[view].columns[column]?.align === "right";
  return { ...ui, sorts: { ...ui.sorts, [view]: { column, down } } };
}

function turned(ui: Ui): Ui {
  const { view, sorts } = ui;
  if (view === "overview") return ui;
  return { ...ui, sorts: { ...sorts, [view]: { ...sorts[view], down: !sorts[view].down } } };
}
