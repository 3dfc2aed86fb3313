/**
 * Which messages of the queue are meant: the one language of all queue actions.
 *
 * All that is given must hold; of several values for one thing any may. What a person wrote stays as it
 * is until `compile` makes tests of it, in the order of what they cost: names, sender and age,
 * recipients, header, log. Nothing here reads anything.
 */

import { isMessId, type MessId } from "../../qmail/queue/fmtqfn.ts";
import type { QueuedMessage, QueuedRecipient } from "../../qmail/queue/queue-read.ts";
import { UsageError } from "../output.ts";
import { anyOf, bytes, moment, range, type Test, whole, within } from "../patterns.ts";
import type { Attempts } from "./attempts.ts";
import type { Header } from "./header.ts";
import { STATES, type State, statesOf } from "./states.ts";

/** As written behind the options; plain data, so that a worker thread can be told. */
export interface Selection {
  readonly id?: readonly string[];
  readonly from?: readonly string[];
  readonly to?: readonly string[];
  readonly domain?: readonly string[];
  readonly subject?: readonly string[];
  readonly header?: readonly string[];
  readonly older?: readonly string[];
  readonly younger?: readonly string[];
  readonly larger?: readonly string[];
  readonly smaller?: readonly string[];
  readonly state?: readonly string[];
  readonly error?: readonly string[];
  readonly tries?: readonly string[];
  readonly channel?: readonly string[];
  /** Not what is asked for, but where errors and tries are looked up: the directory of qmail-send's log. */
  readonly log?: string;
}

/** A selection as tests, each of what is known at its point. What was not asked for always holds. */
export interface Criteria {
  /** When only certain messages are meant: these. */
  readonly ids: readonly MessId[] | null;
  /** By the name alone. */
  readonly id: Test<MessId>;
  /** By sender and birth. */
  readonly head: (sender: string, birth: number) => boolean;
  /** By everything that the queue's own files say. */
  readonly message: Test<QueuedMessage>;
  /** A recipient that is asked for. Done ones never are: nothing can be done about them. */
  readonly recipient: (recipient: QueuedRecipient, sender: string) => boolean;
  /** Null when the message itself need not be read. */
  readonly header: Test<Header> | null;
  /** Null when the log need not be read. */
  readonly attempts: Test<Attempts> | null;
}

/** True when nothing is asked for: every message is meant. */
export function isEverything({ log: _, ...asked }: Selection): boolean {
  return Object.values(asked).every((values) => !given(values));
}

/** The tests that `selection` comes to at `now` (milliseconds since 1970). Throws UsageError. */
export function compile(selection: Selection, now: number): Criteria {
  const { from, domain, state } = selection;
  const senders = asked(from, addressTest);
  const domains = asked(domain, domainTest);
  const recipient = recipientTest(selection);
  const states = asked(state, stateTest);
  const births = all([
    asked(selection.older, (text) => before(moment(text, "--older", now))),
    asked(selection.younger, (text) => after(moment(text, "--younger", now))),
  ]);
  const sizes = all([
    asked(selection.larger, (text) => after(bytes(text, "--larger"))),
    asked(selection.smaller, (text) => before(bytes(text, "--smaller"))),
  ]);
  const ofRecipients = [selection.to, domain, selection.channel].some(given);
  return {
    ...identity(selection.id),
    head: (sender, birth) => births(birth) && (senders?.(sender) ?? true),
    recipient: (each, sender) => recipient(each) && domainHolds(domains, sender, each),
    message: (message) =>
      sizes(message.size) &&
      (states?.(statesOf(message, now)) ?? true) &&
      (!ofRecipients || hasRecipient(message)),
    header: headerTest(selection),
    attempts: attemptsTest(selection),
  };

  function hasRecipient({ recipients, sender }: QueuedMessage): boolean {
    if (recipients.some((each) => recipient(each) && domainHolds(domains, sender, each))) {
      return true;
    }
    // Nobody is left, as of a message that only waits to be bounced: its sender's domain still counts.
    return !given(selection.to) && !given(selection.channel) && (domains?.(sender) ?? true);
  }
}

function domainHolds(
  domains: Test<string> | null,
  sender: string,
  { address }: QueuedRecipient,
): boolean {
  return domains === null || domains(address) || domains(sender);
}

function given(values: readonly string[] | undefined): values is readonly string[] {
  return values !== undefined && values.length > 0;
}

/** Any of what `values` ask for; null when they ask for nothing. */
function asked<T>(
  values: readonly string[] | undefined,
  make: (text: string) => Test<T>,
): Test<T> | null {
  return given(values) ? anyOf(values.map(make)) : null;
}

function all<T>(tests: readonly (Test<T> | null)[]): Test<T> {
  const some = tests.filter((test) => test !== null);
  return (value) => some.every((test) => test(value));
}

function before(limit: number): Test<number> {
  return (value) => value < limit;
}

function after(limit: number): Test<number> {
  return (value) => value > limit;
}

/** Addresses in the queue are bytes, what was typed is text. */
function asBytes(text: string): string {
  return Buffer.from(text).toString("latin1");
}

/** "ann@*", "<ann@x.org>", "@x.org" for everybody there, "" or "<>" for nobody. */
function addressTest(text: string): Test<string> {
  const address = asBytes(text.replace(/^<(.*)>$/s, "$1"));
  return whole(address.startsWith("@") ? `*${address}` : address);
}

function domainTest(text: string): Test<string> {
  return whole(`*@${asBytes(text.replace(/^@/, ""))}`);
}

function recipientTest({ to, channel }: Selection): Test<QueuedRecipient> {
  const addresses = asked(to, addressTest);
  const channels = given(channel) ? new Set(channel.flatMap(channelNames)) : null;
  return (recipient) =>
    !recipient.done &&
    (addresses?.(recipient.address) ?? true) &&
    (channels === null || (recipient.channel !== null && channels.has(recipient.channel)));
}

function channelNames(text: string): string[] {
  return words(text, ["local", "remote"], "channel");
}

function stateTest(text: string): Test<readonly State[]> {
  const wanted = words(text, Object.keys(STATES), "state");
  return (states) => states.some((state) => wanted.includes(state));
}

function words(text: string, known: readonly string[], what: string): string[] {
  return text.split(",").map((part) => {
    const word = part.trim().toLowerCase();
    if (known.includes(word)) return word;
    throw new UsageError(`there is no ${what} "${part}"`, [`there is: ${known.join(", ")}`]);
  });
}

/** "123", "#123" as qmail-qread writes it, "1,2", "100-200", "12*". */
function identity(id: readonly string[] | undefined): Pick<Criteria, "ids" | "id"> {
  if (!given(id)) return { ids: null, id: () => true };
  const parts = id.flatMap((text) => text.split(",")).map((text) => text.trim().replace(/^#/, ""));
  const exact = new Set(parts.filter(isMessId));
  const tests = parts.filter((part) => !isMessId(part)).map(idTest);
  if (tests.length === 0) return { ids: [...exact], id: (name) => exact.has(name) };
  const others = anyOf(tests);
  return { ids: null, id: (name) => exact.has(name) || others(name) };
}

function idTest(part: string): Test<MessId> {
  if (/^[0-9*?]*[*?][0-9*?]*$/.test(part)) return whole(part);
  if (/^\d*-\d*$/.test(part) && part !== "-") {
    const test = range(part, "a message id");
    return (name) => test(BigInt(name));
  }
  throw new UsageError(`"${part}" is no message id`, [
    "for example: 1234, #1234, 1000-2000, 12*; qmailctl queue list shows them",
  ]);
}

function headerTest({ subject, header }: Selection): Test<Header> | null {
  const subjects = asked(subject, (text) => fieldTest("Subject", text));
  const fields = asked(header, (text) => {
    const [, name, pattern = ""] = /^([!-9;-~]+):\s*(.*)$/s.exec(text) ?? [];
    if (name !== undefined) return fieldTest(name, pattern);
    throw new UsageError(`--header needs a field's name and what is in it, not "${text}"`, [
      "for example: --header 'List-Id: *.example.org*'",
    ]);
  });
  return subjects || fields ? all([subjects, fields]) : null;
}

function fieldTest(name: string, pattern: string): Test<Header> {
  const test = within(pattern);
  return (header) => header.values(name).some(test);
}

function attemptsTest({ error, tries }: Selection): Test<Attempts> | null {
  const errors = asked(error, errorTest);
  const counts = asked(tries, triesTest);
  return errors || counts ? all([errors, counts]) : null;
}

/** The log has _ where a space was: both mean both. */
function errorTest(text: string): Test<Attempts> {
  const test = within(text.replaceAll(" ", "_"));
  return ({ error }) => error !== null && test(error.replaceAll(" ", "_"));
}

/** What the log may hide never makes a message match: a count that may be too low is in a range only if all above are. */
function triesTest(text: string): Test<Attempts> {
  const test = range(text, "--tries");
  return ({ tries, exact }) => test(BigInt(tries)) && (exact || test(UNTOLD));
}

/** More than anything was ever tried. */
const UNTOLD = 2n ** 64n;
