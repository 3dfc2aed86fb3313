/**
 * The tables as qmailanalog's z-programs print them, for the scripts that read these: a title, what the
 * columns are, an empty line, and columns as columnt(1) sets them, every name whole. Rows rise by xdelay.
 */

import type { Statistics } from "../analysis/statistics.ts";
import type { Tally, TallyTable } from "../analysis/tally.ts";
import { overallRows } from "./overall.ts";

interface Program {
  readonly title: string;
  readonly about: readonly string[];
  readonly columns: string;
  rows(statistics: Statistics): (readonly string[])[];
}

const two = (value: number) => value.toFixed(2);

const SENDER = [
  "mess: messages that left the queue",
  "bytes: their bytes",
  "sbytes: their bytes, once for each recipient who got them",
  "rbytes: their bytes, once for each recipient",
  "recips: recipients, delivered to or failed",
  "tries: delivery attempts",
  "xdelay: seconds of all delivery attempts",
];
const RECIPIENT = [
  "sbytes: bytes delivered",
  "mess: messages delivered or failed",
  "tries: delivery attempts",
  "xdelay: seconds of all of them",
];
const REASON = ["del: deliveries that ended so", "xdelay: seconds of all of them"];

const byXdelay = (tallies: readonly Tally[]) =>
  tallies.toSorted((a, b) => a.xdelay - b.xdelay || (a.name < b.name ? -1 : 1));

/** Who sent nothing that has left the queue is no row. */
function senderRows(table: TallyTable, wrap: (name: string) => string): string[][] {
  return byXdelay(table.all().filter(({ messages }) => messages > 0)).map((tally) => {
    const { messages, bytes, sbytes, rbytes, recipients, tries, xdelay, name } = tally;
    const numbers = [messages, bytes, sbytes, rbytes, recipients, tries].map(String);
    return [...numbers, two(xdelay), wrap(name)];
  });
}

function recipientRows(table: TallyTable): string[][] {
  return byXdelay(table.all().filter(({ tries }) => tries > 0)).map((tally) => {
    const { sbytes, recipients, tries, xdelay, name } = tally;
    return [...[sbytes, recipients, tries].map(String), two(xdelay), name];
  });
}

function reasonRows(table: TallyTable): string[][] {
  return byXdelay(table.all()).map(({ messages, xdelay, name }) => {
    return [String(messages), two(xdelay), name];
  });
}

function delayRows({ ddelay }: Statistics): string[][] {
  return ddelay
    .steps()
    .filter(({ percent }) => percent >= 10)
    .map(({ doneBy, average, percent }) => [two(doneBy), two(average), String(percent)]);
}

/** How well a recipient is suited for the front of a mailing list. */
function orderRows({ matcher }: Statistics): string[][] {
  return matcher.recipients
    .all()
    .filter(({ tries }) => tries > 0)
    .map(({ xdelay, tries, name }) => ({ average: xdelay / tries, tries, name }))
    .sort((a, b) => a.average - b.average || (a.name < b.name ? -1 : 1))
    .map(({ average, tries, name }) => [two(average), String(tries), name]);
}

const SENDER_COLUMNS = "mess bytes sbytes rbytes recips tries xdelay";

export const PROGRAMS: Readonly<Record<string, Program>> = {
  zsenders: {
    title: "Senders",
    about: SENDER,
    columns: `${SENDER_COLUMNS} sender`,
    rows: ({ matcher }) => senderRows(matcher.senders, (name) => `<${name}>`),
  },
  zsuids: {
    title: "Sender uids",
    about: SENDER,
    columns: `${SENDER_COLUMNS} uid`,
    rows: ({ uids }) => senderRows(uids, (name) => name),
  },
  zrhosts: {
    title: "Recipient hosts",
    about: RECIPIENT,
    columns: "sbytes mess tries xdelay host",
    rows: ({ matcher }) => recipientRows(matcher.hosts),
  },
  zrecipients: {
    title: "Recipients",
    about: RECIPIENT,
    columns: "sbytes mess tries xdelay recipient",
    rows: ({ matcher }) => recipientRows(matcher.recipients),
  },
  zdeferrals: {
    title: "Reasons for deferral",
    about: REASON,
    columns: "del xdelay reason",
    rows: ({ reasons }) => reasonRows(reasons.deferral),
  },
  zfailures: {
    title: "Reasons for failure",
    about: REASON,
    columns: "del xdelay reason",
    rows: ({ reasons }) => reasonRows(reasons.failure),
  },
  zsuccesses: {
    title: "Reasons for success",
    about: REASON,
    columns: "del xdelay reason",
    rows: ({ reasons }) => reasonRows(reasons.success),
  },
  zddist: {
    title: "Distribution of ddelays for successful deliveries",
    about: ["pct percent of them were done within doneby seconds, in avg on the average"],
    columns: "doneby avg pct",
    rows: delayRows,
  },
  zrxdelay: {
    title: "Recipients in the best order for mailing lists",
    about: ["avg: mean xdelay of a delivery attempt", "tries: how many there were"],
    columns: "avg tries recipient",
    rows: orderRows,
  },
};

/** What the program `name` prints, with at most `top` rows. */
export function classic(name: string, statistics: Statistics, top: number): string {
  if (name === "zoverall") return classicOverall(statistics);
  const { title, about, columns, rows } = PROGRAMS[name] as Program;
  const table = columnt([columns.split(" "), ...rows(statistics).slice(0, top)]);
  // The names of reasons only: tr(1) behind columnt made spaces of their underscores.
  const spaced = columns.endsWith("reason") ? table.replaceAll("_", " ") : table;
  return `${title}\n\n${about.map((line) => `* ${line}\n`).join("")}\n${spaced}`;
}

function classicOverall(statistics: Statistics): string {
  const lines = overallRows(statistics).map((row) => (row === null ? "" : `${row[0]}: ${row[1]}`));
  const about = [
    "qtime: how long a message was in the queue",
    "ddelay: from a message's arrival to the end of a successful delivery",
    "xdelay: how long a delivery attempt took",
  ];
  return `Basic statistics\n\n${about.map((line) => `* ${line}\n`).join("")}\n${lines.join("\n")}\n`;
}

/** Columns to the right but for the last, two spaces between. */
function columnt(rows: readonly (readonly string[])[]): string {
  const count = rows[0]?.length ?? 0;
  const widths = Array.from({ length: count }, (_, at) =>
    rows.reduce((widest, row) => Math.max(widest, row[at]?.length ?? 0), 0),
  );
  const line = (row: readonly string[]) =>
    row.map((cell, at) => (at < count - 1 ? cell.padStart(widths[at] as number) : cell)).join("  ");
  return rows.map((row) => `${line(row)}\n`).join("");
}
