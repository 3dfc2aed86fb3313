/** `qmailctl queue show`: all there is to know of a message: envelope, recipients, header, history. */

import kleur from "kleur";
import { fmtqfn } from "../../qmail/queue/fmtqfn.ts";
import type { QueuedMessage, QueuedRecipient } from "../../qmail/queue/queue-read.ts";
import { logSafe } from "../../qmail/send/log.ts";
import { CommandError, type Output } from "../output.ts";
import { dateTime, duration } from "../time.ts";
import type { Attempts } from "./attempts.ts";
import { type Field, type Header, readHeader } from "./header.ts";
import { type Event, history } from "./history.ts";
import { LogAttempts, sendLog, THOROUGH } from "./log-attempts.ts";
import { namedMessages } from "./one.ts";
import { errorText, printable, printableText, sizeText } from "./readable.ts";
import { toJson } from "./rows.ts";
import { closed } from "./select.ts";
import { STATES, statesOf } from "./states.ts";

export interface ShowOptions {
  readonly home: string;
  readonly ids: readonly string[];
  /** The directory of qmail-send's log. */
  readonly log?: string;
  readonly output: Output;
}

/** Everything about one message. */
interface Shown {
  readonly message: QueuedMessage;
  readonly header: readonly Field[];
  readonly attempts: Attempts | null;
  readonly events: readonly Event[];
  /** The log has all of its history. */
  readonly whole: boolean;
}

/** Shows the messages `ids` of the queue in `home`. */
export function queueShow({ home, ids, log, output }: ShowOptions): void {
  const now = Date.now();
  const directory = sendLog(home, log);
  const shown = namedMessages(home, ids).map((message) =>
    lookUp(message, { home, directory, now }),
  );
  output.data(shown.map((each) => json(each, now)));
  for (const [at, each] of shown.entries()) {
    if (at > 0) output.line();
    print(each, now, output);
  }
}

function lookUp(
  message: QueuedMessage,
  { home, directory, now }: { home: string; directory: string | null; now: number },
): Shown {
  const { id, made } = message;
  // Nothing when the message has just gone.
  const header = readNow(`${home}/queue/${fmtqfn("mess", id)}`, made)?.fields ?? [];
  if (directory === null) return { message, header, attempts: null, events: [], whole: false };
  try {
    const options = { wanted: () => [id], limits: THOROUGH, now };
    const attempts = new LogAttempts(directory, options).of(id);
    return { message, header, attempts, ...history(directory, id, { limits: THOROUGH, now }) };
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(`cannot read the log: ${(error as Error).message}`);
  }
}

function readNow(path: string, made: number): Header | null {
  try {
    return readHeader(path, made);
  } catch (error) {
    throw closed(error);
  }
}

function json({ message, header, attempts, events, whole }: Shown, now: number) {
  return {
    ...toJson(message, now, attempts ?? undefined),
    header,
    history: events.map(({ time, text }) => ({ time: new Date(time).toISOString(), text })),
    wholeHistory: whole,
  };
}

function print(
  { message, header, attempts, events, whole }: Shown,
  now: number,
  output: Output,
): void {
  const { id, sender, size, birth } = message;
  const states = statesOf(message, now);
  const row = (name: string, text: string) => output.line(`${name.padEnd(12)}${text}`);
  output.line(kleur.bold(`Message ${id}`));
  row("state", states.map((state) => `${state} (${STATES[state]})`).join(", "));
  row("from", printable(sender) || "<> (nobody: a bounce or a notice)");
  row("age", `${duration(Math.floor((now - birth) / 1000))}, since ${dateTime(birth)}`);
  row("size", sizeText(size));
  if (attempts?.error) {
    row(
      "tries",
      `${attempts.tries}${attempts.exact ? "" : " or more: the log does not go back to its beginning"}`,
    );
    row("last error", kleur.red(errorText(attempts.error)));
  }
  printRecipients(message, { now, events, output });
  output.line(kleur.bold("\nHeader"));
  for (const { name, value } of header) output.line(`  ${name}: ${printableText(value)}`);
  output.line(kleur.bold("\nHistory"));
  if (!whole) output.line("  (the log does not go back to its beginning)");
  for (const { time, text } of events) output.line(`  ${dateTime(time)}  ${printable(text)}`);
}

function printRecipients(
  message: QueuedMessage,
  { now, events, output }: { now: number; events: readonly Event[]; output: Output },
): void {
  output.line(kleur.bold("\nRecipients"));
  const rows = message.recipients.map((recipient) => [
    `  ${recipient.done ? "done" : "left"}`,
    recipient.channel ?? "-",
    nextText(message, recipient, now),
    String(triesOf(recipient, events)),
    printable(recipient.address),
  ]);
  output.table(
    [
      { title: "  " },
      { title: "channel" },
      { title: "next" },
      { title: "tries", align: "right" },
      { title: "address" },
    ],
    rows,
  );
}

function nextText(
  { retry }: QueuedMessage,
  { channel, done }: QueuedRecipient,
  now: number,
): string {
  const time = channel === null || done ? null : retry[channel];
  if (time === null) return done ? "-" : "now";
  return time <= now ? "now" : `in ${duration(Math.floor((time - now) / 1000))}`;
}

function triesOf({ channel, address }: QueuedRecipient, events: readonly Event[]): number {
  const end = ` to ${channel} ${logSafe(address)}`;
  return events.filter(({ text }) => text.startsWith("starting ") && text.endsWith(end)).length;
}
