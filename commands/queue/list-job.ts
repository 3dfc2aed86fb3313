/** What one thread does for `queue list`: find messages, make lines of them or keep the first. */

import kleur from "kleur";
import type { Odd, QueuedMessage } from "../../qmail/queue/queue-read.ts";
import { comparing, Leading, type Order } from "./order.ts";
import type { Job } from "./parallel.ts";
import { asText, printable } from "./readable.ts";
import { formatRow, type RowStyle, toJson } from "./rows.ts";
import { type Found, Searcher } from "./search.ts";
import { passing, selectMessages } from "./select.ts";
import type { Selection } from "./selection.ts";

/** A person sees something after so many; then come larger pieces. */
const FIRST = 200;
const PIECE = 1000;

export interface Listing {
  readonly home: string;
  readonly selection: Selection;
  readonly style: RowStyle;
  readonly json: boolean;
  /** Only the first so many in this order; null: all, as they lie. */
  readonly leading: { readonly order: Order; readonly limit: number } | null;
  /** Only messages with this text somewhere; null: all. */
  readonly text: string | null;
}

/** Some of the result: lines of so many messages, or the messages themselves, when they are still to be put in order. */
export interface Piece {
  readonly count: number;
  readonly text: string;
  readonly messages: readonly QueuedMessage[];
}

/** The messages of this thread's share. */
export const part: Job<Listing, Piece>["part"] = function* (listing, share) {
  const { home, selection, style, leading } = listing;
  kleur.enabled = style.colour;
  const messages = selectMessages(home, selection, { now: style.now, share, odd: share.odd });
  if (leading) yield leadingPiece(messages, leading);
  else yield* linePieces(messages, listing, share.odd);
};

/** For `inParts`. */
export const LIST_JOB: Job<Listing, Piece> = { module: import.meta.url, part };

function leadingPiece(
  messages: Iterable<QueuedMessage>,
  { order, limit }: NonNullable<Listing["leading"]>,
): Piece {
  const leading = new Leading(comparing(order), limit);
  let count = 0;
  for (const message of messages) {
    leading.add(message);
    count++;
  }
  return { count, text: "", messages: leading.sorted() };
}

function* linePieces(
  messages: Iterable<QueuedMessage>,
  { style, json, home, text }: Listing,
  odd: (odd: Odd) => void,
): Generator<Piece> {
  let lines: string[] = [];
  let size = text === null ? FIRST : 1;
  const queue = `${home}/queue`;
  const searcher = text === null ? undefined : new Searcher(queue, text);
  for (const message of messages) {
    const found =
      searcher && passing(queue, message.id, { odd, read: () => searcher.find(message) });
    if (found === null) continue;
    lines.push(line(message, { style, json, found }));
    if (lines.length < size) continue;
    yield { count: lines.length, text: lines.join("\n"), messages: [] };
    lines = [];
    size = text === null ? PIECE : Math.min(2 * size, PIECE);
  }
  if (lines.length > 0) yield { count: lines.length, text: lines.join("\n"), messages: [] };
}

function line(
  message: QueuedMessage,
  { style, json, found }: { style: RowStyle; json: boolean; found: Found | undefined },
): string {
  const { now } = style;
  if (!json) return formatRow(message, style, found && `${found.where}: ${printable(found.text)}`);
  const where = found && { found: { where: found.where, text: asText(found.text) } };
  return JSON.stringify({ ...toJson(message, now), ...where });
}
