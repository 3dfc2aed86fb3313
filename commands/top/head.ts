/** The lines above the table: who, how fast, how much waits, who is at the doors. */

import kleur from "kleur";
import { clip, columns, fit, harmless, printable } from "../printable.ts";
import { brief, clock } from "../time.ts";
import type { Size } from "./arrange.ts";
import { count, rate } from "./numbers.ts";
import { RATES, type RateName, type Snapshot } from "./snapshot.ts";
import type { Ui } from "./ui.ts";

/** Below these the head has three lines instead of six. */
const FULL = { width: 76, height: 18 };
/** Of the rates, that stand on the left. */
const LEFT = 35;

const COLOURS: Readonly<Record<RateName, (text: string) => string>> = {
  in: kleur.cyan,
  delivered: kleur.green,
  deferred: kleur.yellow,
  failed: kleur.red,
};

/** A piece of a line: plain text, and how it is painted. */
type Piece = readonly [text: string, paint?: (text: string) => string];

/** The head for a screen of `size`. */
export function head(snapshot: Snapshot, ui: Ui, size: Size): string[] {
  const { width, height } = size;
  const title = titleLine(snapshot, ui, width);
  if (width < FULL.width || height < FULL.height) {
    const rates = RATES.flatMap((name): Piece[] => [
      [` ${name.slice(0, width < 56 ? 3 : 9)} `],
      [rate(snapshot.rates[name]["1m"]), COLOURS[name]],
    ]);
    return [title, line([["/s"], ...rates], width), line(shortFacts(snapshot), width)];
  }
  const facts = factLines(snapshot);
  const names = ["", ...RATES];
  const rows = names.map((name) => rateCells(snapshot, name as RateName | ""));
  const right = width - LEFT - 3;
  return [
    title,
    ...rows.map((row, at) => `${row}${kleur.dim(" │ ")}${line(facts[at] ?? [], right)}`),
  ];
}

function titleLine({ me, home, time: now, seen }: Snapshot, ui: Ui, width: number): string {
  const state = ui.paused ? "paused" : `every ${brief(ui.interval).replace(".0s", "s")}`;
  const behind = seen === null ? "" : `log of ${brief(now - seen)}  `;
  const right = `${behind}${state}  ${clock(now)}`;
  const filter = ui.filter === "" ? "" : `  only "${harmless(ui.filter)}"`;
  const left = fit(
    ` qmailctl top  ${printable(me === "" ? home : me)}${filter}`,
    Math.max(0, width - columns(right) - 2),
  );
  const text = fit(`${left} ${right} `, width);
  return kleur.bold(ui.paused ? kleur.bgYellow(kleur.black(text)) : kleur.inverse(text));
}

/** A row of the rates' table, or its titles. */
function rateCells({ rates }: Snapshot, name: RateName | ""): string {
  if (name === "")
    return kleur.dim(
      ` ${fit("per second", 10)}${["1 s", "1 min", "5 min"].map((each) => fit(each, 8, "right")).join("")}`,
    );
  const cells = Object.values(rates[name]).map((each) => fit(rate(each), 8, "right"));
  const paint = Object.values(rates[name]).some((each) => each > 0) ? COLOURS[name] : kleur.dim;
  return ` ${fit(name, 10)}${paint(cells.join(""))}`;
}

function factLines(snapshot: Snapshot): Piece[][] {
  return [
    queueLine(snapshot),
    waitLine(snapshot),
    useLine(snapshot),
    doorLine(snapshot),
    serviceLine(snapshot),
  ];
}

function shortFacts(snapshot: Snapshot): Piece[] {
  const { queue } = snapshot;
  const waiting = queue ? count(queue.todo + queue.info) : "?";
  return [["queue "], [waiting, kleur.bold], ["  "], ...useLine(snapshot).slice(1)];
}

function queueLine({ queue }: Snapshot): Piece[] {
  if (!queue) return [["queue  "], ["not to be read by you", kleur.yellow]];
  const all = queue.todo + queue.info;
  const pieces: Piece[] = [
    ["queue  "],
    [count(all), kleur.bold],
    [all === 1 ? " message" : " messages"],
  ];
  if (queue.bounce > 0) pieces.push(["  bouncing "], [count(queue.bounce), kleur.red]);
  return pieces;
}

/** By what they wait for: to be looked at, and for local and remote recipients. */
function waitLine({ queue, send }: Snapshot): Piece[] {
  if (!queue) return [];
  const { todo, local, remote } = queue;
  const pieces = Object.entries({ todo, local, remote }).flatMap(([name, number], at): Piece[] => [
    [`${at === 0 ? "waits  " : "  "}${name} `],
    [count(number), number > 0 ? kleur.bold : kleur.dim],
  ]);
  return [...pieces, ...heldPieces(send)];
}

/** A message with local and remote recipients is held in both channels. */
function heldPieces(send: Snapshot["send"]): Piece[] {
  const held = send ? [send.channels.local.held, send.channels.remote.held].filter(Boolean) : [];
  return held.length === 0 ? [] : [["  held "], [held.map(count).join("+"), kleur.yellow]];
}

/** A channel at its limit is what makes others wait. */
function useLine({ use, underWay, send }: Snapshot): Piece[] {
  const of = (channel: "local" | "remote"): Piece[] => {
    const { used, limit } = send?.channels[channel] ??
      use?.[channel] ?? {
        used: underWay.filter((each) => each.channel === channel).length,
        limit: 0,
      };
    const full = limit > 0 && used >= limit;
    return [
      [`${channel} `],
      [
        limit > 0 ? `${used}/${limit}` : String(used),
        full ? kleur.red : used > 0 ? kleur.bold : kleur.dim,
      ],
    ];
  };
  return [["busy   "], ...of("local"), ["  "], ...of("remote")];
}

function doorLine({ doors }: Snapshot): Piece[] {
  const some = doors.filter(({ open }) => open !== null);
  if (some.length === 0) return [["doors  "], ["nobody says", kleur.dim]];
  return [
    ["doors  "],
    ...some.flatMap(({ name, open }, at): Piece[] => [
      [`${at === 0 ? "" : "  "}${printable(name)} `],
      [count(open ?? 0), open ? kleur.bold : kleur.dim],
    ]),
  ];
}

function serviceLine({ services, send }: Snapshot): Piece[] {
  const full = send?.channels.remote.heldDomains.count ?? 0;
  const domains: Piece = [
    full === 1 ? "  1 domain full" : `  ${count(full)} domains full`,
    kleur.yellow,
  ];
  return [["runs   "], ...serviceStates(services), ...(full > 0 ? [domains] : [])];
}

function serviceStates(services: Snapshot["services"]): Piece[] {
  if (!services) return [["no supervisor answers", kleur.dim]];
  const bad = services.filter(({ state, paused }) => state !== "up" || paused);
  if (bad.length === 0) return [[`all ${services.length} services`, kleur.green]];
  return bad.map(({ name, state, paused }, at): Piece => {
    const text = `${printable(name)} ${paused ? "paused" : state}`;
    return [at === 0 ? text : `  ${text}`, kleur.red];
  });
}

/** Pieces put together, cut off at `width`. */
function line(pieces: readonly Piece[], width: number): string {
  let left = width;
  let text = "";
  for (const [piece, paint = (plain: string) => plain] of pieces) {
    const clipped = clip(piece, left);
    if (clipped === "") break;
    text += paint(clipped);
    left -= columns(clipped);
  }
  return text;
}
