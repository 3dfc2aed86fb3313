/** `qmailctl queue list` and `search`: what is in the queue, a message a line. */

import { exceeds, type QueuedMessage } from "../../qmail/queue/queue-read.ts";
import { CommandError, type Output } from "../output.ts";
import type { AttemptSource } from "./attempts.ts";
import { reportDrops } from "./drops.ts";
import { LIST_JOB, type Listing, type Piece } from "./list-job.ts";
import { LogAttempts, QUICK, sendLog } from "./log-attempts.ts";
import { Oddities } from "./oddities.ts";
import { comparing, Leading, type Order } from "./order.ts";
import { inParts, SMALL } from "./parallel.ts";
import { errorText } from "./readable.ts";
import { formatRow, titles, toJson } from "./rows.ts";
import { checkQueue, closed } from "./select.ts";
import { compile, isEverything, type Selection } from "./selection.ts";

/** Longer than a message is in drop while the daemons are up. */
const PASSING_MS = 5000;

export interface ListOptions {
  readonly home: string;
  readonly selection: Selection;
  /** Null: by age as long as the queue is small. Of a large one nobody reads all: it comes as it lies, the first lines soon. */
  readonly sort: string | null;
  readonly reverse: boolean;
  /** Null: all. */
  readonly limit: number | null;
  /** Only messages with this text in envelope, header or body; null: all. */
  readonly text: string | null;
  readonly output: Output;
}

/** Shows the queue of the mail server in `home`. */
export async function queueList(options: ListOptions): Promise<void> {
  const { home, selection, output } = options;
  const listing = listingOf(options, Date.now());
  compile(selection, listing.style.now);
  checkQueue(home);
  try {
    const oddities = new Oddities();
    const queue = `${home}/queue`;
    const pieces = inParts({ queue, job: LIST_JOB, options: listing, odd: oddities.add });
    const lines = listing.leading ? inOrder(pieces, listing) : pieces;
    if (output.json) await output.dataLines(texts(lines));
    else await print(lines, options, listing);
    oddities.tell(output);
  } catch (error) {
    throw closed(error);
  }
}

function listingOf(options: ListOptions, now: number): Listing {
  const { home, selection, sort, reverse, limit, text, output } = options;
  const order: Order = { by: sort ?? "age", reverse };
  comparing(order);
  const { width, colour } = output.screen;
  const ordered = text === null && (sort !== null || reverse || limit !== null || isSmall(home));
  return {
    home,
    selection,
    style: { now, width, colour },
    json: output.json,
    leading: ordered ? { order, limit: limit ?? Number.POSITIVE_INFINITY } : null,
    text,
  };
}

function isSmall(home: string): boolean {
  try {
    return !exceeds(`${home}/queue`, SMALL);
  } catch {
    // What is wrong is said where the queue is read.
    return true;
  }
}

/** What the threads have put first, put in order, with last errors where there are few enough to look them up. */
async function* inOrder(pieces: AsyncIterable<Piece>, listing: Listing): AsyncGenerator<Piece> {
  const { leading, style, json } = listing;
  if (!leading) return;
  const all = new Leading(comparing(leading.order), leading.limit);
  let count = 0;
  for await (const piece of pieces) {
    for (const message of piece.messages) all.add(message);
    count += piece.count;
  }
  const messages = all.sorted();
  const attempts = messages.length <= SMALL ? lastErrors(listing, messages) : null;
  const lines = messages.map((message) => {
    const tried = attempts?.of(message.id);
    return json
      ? JSON.stringify(toJson(message, style.now, tried))
      : formatRow(message, style, errorText(tried?.error ?? ""));
  });
  if (count > 0) yield { count, text: lines.join("\n"), messages };
}

/** Null when there is no log, or none that we may read: the list is worth having without. */
function lastErrors(
  { home, selection, style }: Listing,
  messages: readonly QueuedMessage[],
): AttemptSource | null {
  try {
    const directory = sendLog(home, selection.log);
    const [first] = messages;
    if (directory === null || !first) return null;
    const wanted = () => messages.map(({ id }) => id);
    const attempts = new LogAttempts(directory, { wanted, limits: QUICK, now: style.now });
    attempts.of(first.id);
    return attempts;
  } catch (error) {
    if (selection.log === undefined && error instanceof CommandError) return null;
    throw error;
  }
}

async function* texts(pieces: AsyncIterable<Piece>): AsyncGenerator<string> {
  for await (const { text } of pieces) yield text;
}

async function print(
  pieces: AsyncIterable<Piece>,
  { home, selection, output, limit, text }: ListOptions,
  { style }: Listing,
): Promise<void> {
  let count = 0;
  for await (const piece of pieces) {
    if (count === 0) output.line(titles(style));
    output.line(piece.text);
    await output.drained();
    count += piece.count;
  }
  if (count > 0) output.line(`\n${totalText(count, limit)}`);
  else if (isEverything(selection) && text === null) output.line("The queue is empty.");
  else output.line("Nothing in the queue is like that.");
  if (isEverything(selection) && text === null) tellDrops(home, output);
}

/** What only passes through is not told. */
function tellDrops(home: string, output: Output): void {
  const now = Date.now();
  const { waiting, lines } = reportDrops(home, now);
  const since = waiting?.since ?? null;
  if (since !== null && now - since > PASSING_MS) for (const line of lines) output.line(line);
}

function totalText(count: number, limit: number | null): string {
  const all = count === 1 ? "1 message" : `${count} messages`;
  return limit !== null && limit < count ? `${limit} of ${all}` : all;
}
