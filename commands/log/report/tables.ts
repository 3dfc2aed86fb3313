/** The statistics as tables: what each is called, what its columns mean, and its rows. */

import type { DoorCounts } from "../analysis/doors.ts";
import type { Statistics } from "../analysis/statistics.ts";
import type { Tally, TallyTable } from "../analysis/tally.ts";

export type Cell = string | number;

export interface Table {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  /** The last one is a text, the others are numbers. */
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  /** How many rows there are without the limit. */
  readonly total: number;
}

interface Definition {
  readonly title: string;
  readonly about: string;
  readonly columns: readonly string[];
  rows(statistics: Statistics): Cell[][];
}

const seconds = (value: number) => Math.round(value * 100) / 100;

const SENDER_COLUMNS = ["mess", "bytes", "sbytes", "rbytes", "recips", "tries", "xdelay"];

function senderRow(tally: Tally): Cell[] {
  const { messages, bytes, sbytes, rbytes, recipients, tries, xdelay, name } = tally;
  return [messages, bytes, sbytes, rbytes, recipients, tries, seconds(xdelay), name];
}

function recipientRow({ sbytes, recipients, tries, xdelay, name }: Tally): Cell[] {
  return [sbytes, recipients, tries, seconds(xdelay), name];
}

const DOOR_COLUMNS = ["conns", "accepted", "bytes", "refused", "denied", "logins", "badlogins"];

function doorRow([name, counts]: [string, DoorCounts]): Cell[] {
  const { connections, accepted, bytes, refused, denied, logins, badLogins } = counts;
  return [connections, accepted, bytes, refused, denied, logins, badLogins, name];
}

function accountRow([name, { badLogins, logins, accepted, bytes }]: [string, DoorCounts]): Cell[] {
  return [badLogins, logins, accepted, bytes, name];
}

function reasonRows(table: TallyTable): Cell[][] {
  return byFirst(
    table
      .all()
      .map(({ messages, xdelay, name }) => [messages, seconds(xdelay), name.replaceAll("_", " ")]),
  );
}

/** Largest first; what is equal, by name. */
function byFirst(rows: Cell[][]): Cell[][] {
  return rows.sort((a, b) => {
    return (b[0] as number) - (a[0] as number) || (String(a.at(-1)) < String(b.at(-1)) ? -1 : 1);
  });
}

/** ddist's lines: every tenth percent, and the slow ones in small steps. */
const PERCENTS = [10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99, 100];

/** Names as qmailanalog's, without their z. */
export const TABLES: Readonly<Record<string, Definition>> = {
  senders: {
    title: "Senders",
    about: "sbytes: bytes delivered, rbytes: bytes times recipients, xdelay: seconds of attempts",
    columns: [...SENDER_COLUMNS, "sender"],
    rows: ({ matcher }) => byFirst(matcher.senders.all().map(senderRow)),
  },
  suids: {
    title: "Users who queued messages",
    about: "By uid; columns as for senders",
    columns: [...SENDER_COLUMNS, "uid"],
    rows: ({ uids }) => byFirst(uids.all().map(senderRow)),
  },
  rhosts: {
    title: "Recipient hosts",
    about: "sbytes: bytes delivered, mess: delivered or failed, xdelay: seconds of attempts",
    columns: ["sbytes", "mess", "tries", "xdelay", "host"],
    rows: ({ matcher }) => byFirst(matcher.hosts.all().map(recipientRow)),
  },
  recipients: {
    title: "Recipients",
    about: "Columns as for hosts; the name begins with the channel",
    columns: ["sbytes", "mess", "tries", "xdelay", "recipient"],
    rows: ({ matcher }) => byFirst(matcher.recipients.all().map(recipientRow)),
  },
  deferrals: {
    title: "Reasons for deferral",
    about: "del: deliveries that ended so, xdelay: their seconds",
    columns: ["del", "xdelay", "reason"],
    rows: ({ reasons }) => reasonRows(reasons.deferral),
  },
  failures: {
    title: "Reasons for failure",
    about: "del: deliveries that ended so, xdelay: their seconds",
    columns: ["del", "xdelay", "reason"],
    rows: ({ reasons }) => reasonRows(reasons.failure),
  },
  successes: {
    title: "Successes",
    about: "By who said so; what hosts say behind their code is left out",
    columns: ["del", "xdelay", "reason"],
    rows: ({ reasons }) => reasonRows(reasons.success),
  },
  ddist: {
    title: "Distribution of ddelay",
    about: "So many percent of the successful deliveries were done within doneby seconds",
    columns: ["doneby", "avg", "pct"],
    rows: ({ ddelay }) =>
      ddelay
        .shares(PERCENTS)
        .map(({ doneBy, average, percent }) => [seconds(doneBy), seconds(average), percent]),
  },
  rxdelay: {
    title: "Recipients, slowest first",
    about:
      "avg: mean xdelay of an attempt, in seconds; a mailing list is best sent the other way round",
    columns: ["avg", "tries", "recipient"],
    rows: ({ matcher }) =>
      byFirst(
        matcher.recipients
          .all()
          .filter(({ tries }) => tries > 0)
          .map(({ xdelay, tries, name }) => [seconds(xdelay / tries), tries, name]),
      ),
  },
  doors: {
    title: "Doors",
    about:
      "What came in: connections, messages, and what was turned away; badlogins: wrong passwords",
    columns: [...DOOR_COLUMNS, "door"],
    rows: ({ doors }) => byFirst(doors.doors.entries().map(doorRow)),
  },
  clients: {
    title: "Clients",
    about: "Who came by the doors; columns as for these",
    columns: [...DOOR_COLUMNS, "client"],
    rows: ({ doors }) => byFirst(doors.clients.entries().map(doorRow)),
  },
  accounts: {
    title: "Accounts",
    about: "Who has logged in or tried to, the most wrong passwords first",
    columns: ["badlogins", "logins", "accepted", "bytes", "account"],
    rows: ({ doors }) => byFirst(doors.accounts.entries().map(accountRow)),
  },
  refusals: {
    title: "Reasons for refusal",
    about: "Why incoming mail was not taken",
    columns: ["times", "reason"],
    rows: ({ refusals }) => byFirst([...refusals].map(([name, count]) => [count, name])),
  },
  troubles: {
    title: "Warnings and alerts",
    about: "What qmail-send complained of; N stands for any number",
    columns: ["times", "text"],
    rows: ({ troubles }) => byFirst([...troubles].map(([name, count]) => [count, name])),
  },
};

/** The table `name`, with at most `top` rows. */
export function makeTable(name: string, statistics: Statistics, top: number): Table {
  const definition = TABLES[name] as Definition;
  const { title, about, columns } = definition;
  const rows = definition.rows(statistics);
  const shown = name === "ddist" ? rows : rows.slice(0, top);
  return { name, title, about, columns, rows: shown, total: rows.length };
}

/** What zoverall tells, by its names. */
export function overall(statistics: Statistics): Record<string, number> {
  const s = statistics;
  const attempts = s.successes + s.failures + s.deferrals;
  const span = Math.max(0, s.last - s.first) / 1000;
  const per = (sum: number, count: number) => (count > 0 ? sum / count : 0);
  return {
    "Completed messages": s.messages,
    "Recipients for completed messages": s.recipients,
    "Total delivery attempts for completed messages": s.tries,
    "Average delivery attempts per completed message": per(s.tries, s.messages),
    "Bytes in completed messages": s.messageBytes,
    "Bytes weighted by success": s.deliveredBytes,
    "Average message qtime (s)": per(s.qtime, s.messages),
    "Total delivery attempts": attempts,
    success: s.successes,
    failure: s.failures,
    deferral: s.deferrals,
    "Total ddelay (s)": s.ddelay.sum,
    "Average ddelay per success (s)": per(s.ddelay.sum, s.successes),
    "Total xdelay (s)": s.xdelay,
    "Average xdelay per delivery attempt (s)": per(s.xdelay, attempts),
    "Time span (days)": span / 86_400,
    "Average concurrency": per(s.xdelay, span),
    "Messages still open": s.matcher.messages.size,
    "Bounce messages": s.bounces,
    "Triple bounces": s.tripleBounces,
    "Restarts of qmail-send": s.restarts,
  };
}
