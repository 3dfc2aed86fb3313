/** The screen as lines of text, none wider than it is: a head, the names of the panels, tables, and what the keys do. Pure. */

import kleur from "kleur";
import { clip, columns, fit, harmless } from "../printable.ts";
import { ACTIONS } from "./actions.ts";
import { allRows, arrange, type Section, type Size } from "./arrange.ts";
import { head } from "./head.ts";
import { count } from "./numbers.ts";
import { PANELS } from "./panels.ts";
import type { Snapshot } from "./snapshot.ts";
import { layout, type Row, rowLine, titleLine } from "./table.ts";
import { chosenIndex, chosenRow, type Ui, VIEWS, type View } from "./ui.ts";

/** What is on the screen: its lines, and what the keys work on. */
export interface Picture {
  readonly lines: readonly string[];
  readonly rows: readonly Row[];
  readonly page: number;
}

/** Paints what there is to see. */
export function view(snapshot: Snapshot, ui: Ui, size: Size): Picture {
  const top = [...head(snapshot, ui, size), tabs(snapshot, ui, size.width)];
  const space = Math.max(0, size.height - top.length - 1);
  const sections = arrange(snapshot, ui, space);
  const rows = allRows(sections);
  const chosen = chosenRow(ui, rows)?.key ?? null;
  const body = bodyLines(ui, sections, { space, width: size.width, chosen });
  const filled = [...body, ...new Array<string>(Math.max(0, space - body.length)).fill("")];
  const lines = [...top, ...filled.slice(0, space), footer(ui, rows, size.width)];
  const page = ui.view === "overview" ? space : Math.max(1, space - 1);
  return { lines: lines.slice(0, size.height), rows, page };
}

function bodyLines(
  ui: Ui,
  sections: readonly Section[],
  { space, width, chosen }: { space: number; width: number; chosen: string | null },
): string[] {
  if (ui.mode.type === "help") return pageLines("Keys", HELP, { top: 0, space, width });
  if (ui.mode.type === "page") {
    return pageLines(ui.mode.title, ui.mode.lines, { top: ui.mode.top, space, width });
  }
  return sections.flatMap((section) => tableLines(ui, section, { width, chosen }));
}

function tableLines(
  ui: Ui,
  { panel, rows, sort, lines }: Section,
  { width, chosen }: { width: number; chosen: string | null },
): string[] {
  const widths = layout(panel.columns, width);
  const title = titleLine(panel.columns, widths, ui.view === "overview" ? null : sort);
  if (rows.length === 0) {
    const why = ui.filter === "" ? panel.empty : `Nothing of that has "${harmless(ui.filter)}".`;
    return [title, kleur.dim(clip(why, width))].slice(0, lines + 1);
  }
  // The chosen row is on the screen; in the middle, when there is more than fits.
  const at = chosenIndex(ui, rows);
  const first = Math.max(0, Math.min(at - Math.floor(lines / 2), rows.length - lines));
  return [
    title,
    ...rows
      .slice(first, first + lines)
      .map((row) => rowLine(panel.columns, widths, { row, chosen: row.key === chosen })),
  ];
}

function pageLines(
  title: string,
  lines: readonly string[],
  { top, space, width }: { top: number; space: number; width: number },
): string[] {
  return [
    kleur.bold(clip(title, width)),
    ...lines.slice(top, top + space - 1).map((each) => clip(each, width)),
  ];
}

function tabs(snapshot: Snapshot, ui: Ui, width: number): string {
  const { underWay, messages, moreMessages, destinations, errors } = snapshot;
  const counts: Partial<Record<View, string>> = {
    deliveries: count(underWay.length),
    ...(ui.view === "messages" && {
      messages: `${count(messages.length)}${moreMessages ? "+" : ""}`,
    }),
    destinations: count(destinations.length),
    errors: count(errors.length),
  };
  // Narrow screens show the names of others cut off.
  const wide = width >= 76;
  let text = "";
  let left = width;
  for (const [at, name] of VIEWS.entries()) {
    const title = wide ? [name, counts[name]].filter(Boolean).join(" ") : name.slice(0, 3);
    const tab = clip(` ${at + 1} ${name === ui.view && !wide ? name : title}`, left);
    left -= columns(tab);
    text += name === ui.view ? kleur.bold(kleur.cyan(tab)) : kleur.dim(tab);
  }
  return text;
}

function footer(ui: Ui, rows: readonly Row[], width: number): string {
  switch (ui.mode.type) {
    case "filter":
      return fit(`Show what has: ${harmless(ui.mode.text)}▏  (Enter: keep, Esc: show all)`, width);
    case "confirm":
      return kleur.bold(
        kleur.red(fit(`Really ${harmless(ui.mode.what)}? y: yes, any other key: no`, width)),
      );
    case "page":
      return kleur.dim(clip("↑ ↓ PgUp PgDn move; any other key goes back", width));
    case "help":
      return kleur.dim(clip("Any key goes back", width));
    case "table":
      if (ui.notice !== "") return kleur.yellow(clip(harmless(ui.notice), width));
      return keys(ui, chosenRow(ui, rows), width);
  }
}

/** The keys that matter here, as many as there is room for. */
function keys(ui: Ui, row: Row | null, width: number): string {
  const actions = Object.entries(ACTIONS).map(([key, { name }]) => [key, name] as const);
  const hints = [
    ["q", "quit"],
    ["?", "help"],
    ["Tab", "next"],
    ["↑↓", "choose"],
    ["⏎", "show"],
    ...(row?.id ? actions : []),
    ["/", "filter"],
    ...(ui.view === "overview" ? [] : [["s", "sort"] as const]),
    ["Space", ui.paused ? "go on" : "pause"],
  ] as const;
  let text = "";
  let left = width;
  for (const [key, what] of hints) {
    const length = columns(key) + columns(what) + 3;
    if (length > left) break;
    text += ` ${kleur.bold(key)} ${kleur.dim(what)} `;
    left -= length;
  }
  return text;
}

const HELP = [
  "1-6 Tab ← →      another panel: overview, deliveries, messages, destinations ...",
  "↑ ↓ j k PgUp PgDn g G   choose a row",
  "Enter            show all about the chosen row",
  "s S v            sort by the next column, by the one before; the other way round",
  "/                show only rows that have these words; Esc shows all again",
  "r h u b d        retry, hold, release (unhold), bounce, delete the row's message",
  "Space            hold the picture still",
  "+ -              look less often, more often",
  "Ctrl-L Ctrl-Z    paint the screen anew; suspend",
  "q Ctrl-C         leave",
  "",
  "Rates are per second. Destinations, errors and doors: the last five minutes.",
  '"mean" is how long a try took, those under way among them. What is red or',
  "yellow wants a look: a channel at its limit, a delivery of 30 seconds or more.",
];

/** All but the single messages, as text for scripts and files: the head, and `most` rows of each table. */
export function plainView(
  snapshot: Snapshot,
  ui: Ui,
  { width, most }: { width: number; most: number },
): string[] {
  // Of a long queue only some messages were read: `queue list` has them all.
  const panels = Object.values(PANELS).filter(({ name }) => name !== "messages");
  const tables = panels.flatMap((panel) => {
    const there: Ui = { ...ui, view: panel.name };
    const [section] = arrange(snapshot, there, most + 1);
    return section ? ["", ...tableLines(there, section, { width, chosen: null })] : [];
  });
  return [...head(snapshot, ui, { width, height: Number.POSITIVE_INFINITY }), ...tables];
}
