/** An explanation as a person reads it: a decision to a line, forwards indented below theirs. */

import kleur from "kleur";
import type { Delivery } from "../../qmail/local/dotqmail.ts";
import { columns, harmless } from "../printable.ts";
import type { Action, Explanation, Step } from "./walk.ts";

const TOPIC_WIDTH = 9;
/** Sources stand in a column, unless a text is so long that it would push them off the screen. */
const SOURCE_COLUMN_MAX = 72;

/** A line: what is said, how wide that is without colours, and where it comes from. */
interface Row {
  readonly text: string;
  readonly width: number;
  readonly source: string | null;
}

/** The lines to show. */
export function explanationLines(explanation: Explanation): string[] {
  const rows = body(explanation).map((each) => indented(each, "  ", 2));
  const widths = rows.filter(({ source }) => source !== null).map(({ width }) => width);
  const column = Math.max(0, ...widths.filter((width) => width <= SOURCE_COLUMN_MAX));
  return [
    kleur.bold(harmless(explanation.address)),
    "",
    ...rows.map(({ text, width, source }) =>
      source === null
        ? text
        : `${text}${" ".repeat(Math.max(column - width, 0))}  ${kleur.cyan(source)}`,
    ),
    "",
    verdict(explanation),
  ];
}

function body({ steps, actions, report }: Explanation): Row[] {
  const failed = actions.some(({ trouble }) => trouble);
  return [
    ...steps.flatMap(stepRows),
    ...actions.flatMap((action) => actionRows(action, report.status === "K")),
    ...(report.status === "K" ? emptyRows(actions, steps) : []),
    ...(failed ? [] : failureRows(report)),
  ];
}

function stepRows({ topic, text, source, notes }: Step): Row[] {
  return [
    row(topic, text, { source }),
    ...notes.map((note) => row("", note, { colour: kleur.dim })),
  ];
}

function actionRows({ source, instruction, path, trouble, forward }: Action, sent: boolean): Row[] {
  const { type } = instruction;
  const first = row(type, what(instruction, path), { source });
  if (trouble) return [first, ...failureRows(trouble)];
  if (type === "program") return [first, row("", "its exit code decides", { colour: kleur.dim })];
  if (type !== "forward") return [first];
  if (forward) {
    const indent = `${" ".repeat(TOPIC_WIDTH)}${kleur.dim("│")} `;
    return [first, ...body(forward).map((each) => indented(each, indent, TOPIC_WIDTH + 2))];
  }
  const why = sent ? "not followed any further" : "kept back, since the delivery fails";
  return [first, row("", why, { colour: kleur.yellow })];
}

function what(instruction: Delivery, path: string | null): string {
  switch (instruction.type) {
    case "program":
      return `|${instruction.command}`;
    case "forward":
      return instruction.address;
    default:
      return path ?? instruction.path;
  }
}

/** A file with nothing but comments delivers nothing, with success. */
function emptyRows(actions: readonly Action[], steps: readonly Step[]): Row[] {
  const hasFile = steps.some(({ topic }) => topic === "file");
  if (!hasFile || actions.length > 0) return [];
  return [row("", "no instruction: thrown away", { colour: kleur.yellow })];
}

function failureRows({ status, text }: Explanation["report"]): Row[] {
  if (status === "K") return [];
  const colour = status === "D" ? kleur.red : kleur.yellow;
  const lines = text.trimEnd().split("\n");
  return lines.map((line, at) => row(at === 0 ? "but" : "", line, { colour }));
}

function verdict({ outcome, report, channel }: Explanation): string {
  const where = report.status === "K" && outcome !== "K" ? " where it is forwarded to" : "";
  switch (outcome) {
    case "K":
      return kleur.green(channel === "remote" ? "Would be sent there." : "Would be delivered.");
    case "D":
      return kleur.red(`Would bounce${where}.`);
    case "Z":
      return kleur.yellow(`Would be deferred${where}: tried again later.`);
  }
}

function row(
  topic: string,
  text: string,
  { source = null, colour = plain }: { source?: string | null; colour?: (text: string) => string },
): Row {
  const begin = topic.padEnd(TOPIC_WIDTH);
  const safe = harmless(text);
  const shownSource = source === null ? null : harmless(source);
  const width = begin.length + columns(safe);
  return { text: kleur.dim(begin) + colour(safe), width, source: shownSource };
}

function plain(text: string): string {
  return text;
}

function indented({ text, width, source }: Row, indent: string, by: number): Row {
  return { text: indent + text, width: width + by, source };
}
