/** One message as a line of `queue list`, or as a JSON object. */

import kleur from "kleur";
import type { QueuedMessage } from "../../qmail/queue/queue-read.ts";
import type { Attempts } from "./attempts.ts";
import { asText, printable, shortened, sizeText, spanText } from "./readable.ts";
import { nextTry, type State, statesOf } from "./states.ts";

/** How lines are made: plain data, for threads. */
export interface RowStyle {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Characters a line may have; null where it is not shown on a screen: then nothing is cut. */
  readonly width: number | null;
  readonly colour: boolean;
}

/** The facts before sender and recipient, in columns; what is wider moves the rest to the right. */
const COLUMNS = [
  ["id", 8],
  ["state", -8],
  ["age", 4],
  ["size", 5],
  ["next", 4],
  ["left", 4],
] as const;
const FACTS = COLUMNS.reduce((sum, [, width]) => sum + Math.abs(width) + 2, 0);
/** The narrowest that an address gets. */
const ADDRESS_MIN = 14;

const PAINT: Readonly<Record<State, (text: string) => string>> = {
  todo: kleur.cyan,
  due: kleur.green,
  waiting: (text) => text,
  held: kleur.yellow,
  bouncing: kleur.magenta,
  done: kleur.grey,
};

/** The titles of the columns. */
export function titles({ width }: RowStyle): string {
  const names = COLUMNS.map(([title]) => title);
  return kleur.bold(`${columns(names)}${cell("from", addressWidth(width))}  to`);
}

/** Negative widths are of columns that begin at the left. */
function columns(texts: readonly string[]): string {
  let line = "";
  for (const [at, [, width]] of COLUMNS.entries()) {
    const text = texts[at] ?? "";
    line += `${width < 0 ? text.padEnd(-width) : text.padStart(width)}  `;
  }
  return line;
}

function cell(text: string, width: number | null): string {
  return width === null ? text : shortened(text, width).padEnd(width);
}

/** Sender and recipients share what is left of the line. */
function addressWidth(width: number | null): number | null {
  return width === null ? null : Math.max(ADDRESS_MIN, Math.floor((width - FACTS - 2) / 2));
}

/** The line of `message`, and one below it for a `remark`. */
export function formatRow(message: QueuedMessage, style: RowStyle, remark?: string): string {
  const { now, width } = style;
  const [state = "done"] = statesOf(message, now);
  const { left, first } = recipientsLeft(message);
  const all = message.recipients.length;
  const facts = columns([
    message.id,
    state,
    spanText(now - message.birth),
    sizeText(message.size),
    nextText(message, now),
    left === all ? String(left) : `${left}/${all}`,
  ]);
  const room = addressWidth(width);
  const to = first === null ? "-" : printable(first);
  const from = cell(printable(message.sender) || "<>", room);
  const line = `${facts}${from}  ${room === null ? to : shortened(to, room)}`;
  const painted = style.colour ? line.replace(state, PAINT[state]) : line;
  if (!remark) return painted;
  const below = shortenedEnd(remark, width === null ? null : width - 10);
  return `${painted}\n${" ".repeat(10)}${style.colour ? kleur.red(below) : below}`;
}

function nextText(message: QueuedMessage, now: number): string {
  const next = nextTry(message);
  if (next === Number.POSITIVE_INFINITY || message.held) return "-";
  return next <= now ? "now" : spanText(next - now);
}

/** How many are left, and the first of them. */
function recipientsLeft({ recipients }: QueuedMessage): { left: number; first: string | null } {
  let left = 0;
  let first: string | null = null;
  for (const { address, done } of recipients) {
    if (done) continue;
    left++;
    first ??= address;
  }
  return { left, first };
}

function shortenedEnd(text: string, width: number | null): string {
  return width === null || text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}

/** A message as scripts get it. */
export function toJson(message: QueuedMessage, now: number, attempts?: Attempts) {
  const { id, size, birth, sender, bouncing, recipients, retry } = message;
  const left = recipients.filter(({ done }) => !done).length;
  return {
    id,
    state: statesOf(message, now)[0],
    bouncing,
    birth: new Date(birth).toISOString(),
    size,
    sender: asText(sender),
    left,
    done: recipients.length - left,
    next: timeJson(nextTry(message)),
    recipients: recipients.map(({ channel, address, done }) => ({
      channel,
      address: asText(address),
      done,
      next: done || channel === null ? null : timeJson(retry[channel]),
    })),
    ...(attempts && attemptsJson(attempts)),
  };
}

function attemptsJson({ tries, exact, error, recipient, time }: Attempts) {
  return {
    tries: { count: tries, exact },
    lastError: error === null ? null : { text: error, recipient, time: timeJson(time) },
  };
}

function timeJson(ms: number | null): string | null {
  return ms === null || !Number.isFinite(ms) ? null : new Date(ms).toISOString();
}
