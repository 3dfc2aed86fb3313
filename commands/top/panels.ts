/** What the screen can show below its head: a table each, made of a snapshot. */

import { gist, readable } from "../log/reason.ts";
import { printable } from "../printable.ts";
import { brief, clock } from "../time.ts";
import { count, size } from "./numbers.ts";
import type { ClientRow, DoorRow, MessageRow, Snapshot } from "./snapshot.ts";
import type { Cell, Colour, Column, Row } from "./table.ts";

export interface Panel {
  readonly name: PanelName;
  readonly columns: readonly Column[];
  /** What it is sorted by until somebody wants it otherwise. */
  readonly sort: { readonly column: number; readonly down: boolean };
  rows(snapshot: Snapshot): Row[];
  /** What is said when there are none. */
  readonly empty: string;
}

export const PANEL_NAMES = ["deliveries", "messages", "destinations", "errors", "doors"] as const;
export type PanelName = (typeof PANEL_NAMES)[number];

function cell(text: string, colour?: Colour): Cell {
  return { text, order: text, ...(colour && { colour }) };
}

function amount(number: number, colour?: Colour): Cell {
  const text = number === 0 ? "·" : count(number);
  return { text, order: number, ...(colour && number > 0 && { colour }) };
}

function lasting(ms: number | null, slow = Number.POSITIVE_INFINITY): Cell {
  if (ms === null) return { text: "", order: -1 };
  return { text: brief(ms), order: ms, ...(ms >= slow && { colour: "yellow" as const }) };
}

function address(bytes: string): string {
  return bytes === "" ? "<>" : printable(bytes);
}

/** A delivery, or the mean of a host, that takes longer is worth a look. */
const SLOW_MS = 30_000;

const deliveries: Panel = {
  name: "deliveries",
  columns: [
    { title: "since", width: 7, align: "right" },
    { title: "message", width: 9, align: "right", from: 60 },
    { title: "channel", width: 8, from: 50 },
    { title: "sender", width: 10, flex: 2, from: 70 },
    { title: "recipient", width: 12, flex: 3 },
  ],
  sort: { column: 0, down: true },
  empty: "No delivery is under way.",
  rows: ({ underWay }) =>
    underWay.map(({ delivery, id, channel, sender, recipient, age, since }) => ({
      key: `delivery ${delivery}`,
      id,
      cells: [
        lasting(age, SLOW_MS),
        { text: id, order: Number(id) },
        cell(channel, channel === "local" ? "cyan" : undefined),
        sender === null ? cell("") : cell(address(sender)),
        cell(address(recipient)),
      ],
      more: [
        `delivery   ${delivery}, ${channel}, since ${clock(since)}`,
        `recipient  ${address(recipient)}`,
      ],
    })),
};

const STATE_COLOURS: Partial<Record<MessageRow["state"], Colour>> = {
  todo: "green",
  due: "green",
  trying: "cyan",
  held: "yellow",
  bouncing: "red",
  done: "dim",
};

const messages: Panel = {
  name: "messages",
  columns: [
    { title: "message", width: 9, align: "right" },
    { title: "age", width: 7, align: "right" },
    { title: "size", width: 5, align: "right", from: 76 },
    { title: "state", width: 8, from: 50 },
    { title: "next", width: 7, align: "right", from: 60 },
    { title: "sender", width: 8, flex: 2, from: 70 },
    { title: "for", width: 10, flex: 3 },
    { title: "last error", width: 12, flex: 4, from: 100 },
  ],
  sort: { column: 1, down: true },
  empty: "No message is in the queue.",
  rows: (snapshot) => snapshot.messages.map(messageRow),
};

/** A queued message as a row. */
export function messageRow(message: MessageRow): Row {
  return {
    key: `message ${message.id}`,
    id: message.id,
    cells: [
      { text: message.id, order: Number(message.id) },
      lasting(message.age),
      { text: size(message.size), order: message.size },
      cell(message.state, STATE_COLOURS[message.state]),
      message.state === "waiting" ? lasting(message.next) : lasting(null),
      cell(address(message.sender)),
      cell(recipientsOf(message)),
      cell(printable(gist(message.trouble?.text ?? "")), "yellow"),
    ],
    more: [],
  };
}

function recipientsOf({ recipients }: MessageRow): string {
  const [first] = recipients;
  if (first === undefined) return "";
  const more = recipients.length - 1;
  return more > 0 ? `+${more} ${address(first)}` : address(first);
}

const destinations: Panel = {
  name: "destinations",
  columns: [
    { title: "destination", width: 12, flex: 3 },
    { title: "now", width: 4, align: "right", from: 40 },
    { title: "mean", width: 7, align: "right" },
    { title: "longest", width: 8, align: "right", from: 50 },
    { title: "ok", width: 6, align: "right", from: 60 },
    { title: "deferred", width: 9, align: "right", from: 50 },
    { title: "failed", width: 7, align: "right", from: 60 },
    { title: "last error", width: 10, flex: 4, from: 90 },
  ],
  sort: { column: 2, down: true },
  empty: "Nothing was delivered in the last five minutes.",
  rows: (snapshot) =>
    snapshot.destinations.map((row) => ({
      key: `destination ${row.name}`,
      id: null,
      cells: [
        cell(address(row.name), row.full ? "yellow" : undefined),
        amount(row.underWay),
        lasting(row.mean, SLOW_MS),
        lasting(row.longest, SLOW_MS),
        amount(row.delivered, "green"),
        amount(row.deferred, "yellow"),
        amount(row.failed, "red"),
        cell(printable(gist(row.error)), "yellow"),
      ],
      more: [
        `${row.underWay} under way now${row.full ? ", as many as there may be: others wait" : ""}`,
        `last five minutes: ${row.delivered} delivered, ${row.deferred} deferred, ${row.failed} failed`,
        `a try took ${row.mean === null ? "-" : brief(row.mean)} on average, the longest ${brief(row.longest)}`,
        ...(row.error === "" ? [] : ["", `last error: ${printable(row.error)}`]),
      ],
    })),
};

const KIND_COLOURS: Readonly<Record<string, Colour>> = {
  deferral: "yellow",
  warning: "yellow",
  refusal: "cyan",
  failure: "red",
  alert: "red",
  trouble: "red",
};

const errors: Panel = {
  name: "errors",
  columns: [
    { title: "count", width: 6, align: "right" },
    { title: "last", width: 8, from: 50 },
    { title: "kind", width: 8, from: 40 },
    { title: "what", width: 14, flex: 5 },
    { title: "whom", width: 10, flex: 2, from: 90 },
  ],
  sort: { column: 0, down: true },
  empty: "No errors in the last five minutes.",
  rows: (snapshot) =>
    snapshot.errors.map(({ key, kind, count: times, last, example, whom, id }) => ({
      key: `error ${key}`,
      id: id === "" ? null : id,
      cells: [
        amount(times),
        { text: clock(last), order: last },
        cell(kind, KIND_COLOURS[kind]),
        cell(printable(gist(example))),
        cell(printable(whom)),
      ],
      more: [
        `${kind}, ${times} times in five minutes, last at ${clock(last)}`,
        ...(whom === "" ? [] : [`the last:  ${printable(whom)}`]),
        "",
        printable(readable(example)),
        "",
        "What it means: qmailctl log explain TEXT",
      ],
    })),
};

const doors: Panel = {
  name: "doors",
  columns: [
    { title: "door", width: 10 },
    { title: "client", width: 9, flex: 2 },
    { title: "open", width: 7, align: "right" },
    { title: "accepted", width: 9, align: "right", from: 46 },
    { title: "refused", width: 8, align: "right", from: 50 },
    { title: "denied", width: 7, align: "right", from: 70 },
    { title: "logins", width: 7, align: "right", from: 60 },
    { title: "failed", width: 7, align: "right", from: 60 },
  ],
  sort: { column: 2, down: true },
  empty: "No door is open, or nobody says so.",
  rows: ({ doors: all }) =>
    all.flatMap((door) => [
      doorRow(door),
      ...door.clients.map((client) => clientRow(door.name, client)),
    ]),
};

function doorRow(door: DoorRow): Row {
  const { open, limit } = door;
  const text = open === null ? "" : `${count(open)}${limit === null ? "" : `/${limit}`}`;
  const clients = door.clients.length;
  return {
    key: `door ${door.name}`,
    id: null,
    cells: [
      cell(printable(door.name), "green"),
      cell(clients === 1 ? "1 client" : `${count(clients)} clients`, "dim"),
      // A door stands before its clients, who have as much at most.
      { text, order: (open ?? 0) + 0.5 },
      ...doorCells(door),
    ],
    more: doorLines(door),
  };
}

function clientRow(door: string, client: ClientRow): Row {
  return {
    key: `client ${door} ${client.ip}`,
    id: null,
    cells: [
      cell(printable(door)),
      cell(printable(client.ip)),
      amount(client.open),
      ...doorCells(client),
    ],
    more: doorLines(client),
  };
}

function doorLines(counts: ClientRow | DoorRow): string[] {
  const { open, accepted, refused, denied, logins, badLogins, ended } = counts;
  return [
    ...(open === null ? [] : [`${open} connections now`]),
    `last five minutes: ${ended} connections ended, ${denied} were denied by rule`,
    `messages: ${accepted} accepted; refused: ${refused}`,
    `logins: ${logins}, failed: ${badLogins}`,
  ];
}

function doorCells(counts: ClientRow | DoorRow): Cell[] {
  return [
    amount(counts.accepted, "green"),
    amount(counts.refused, "yellow"),
    amount(counts.denied, "yellow"),
    amount(counts.logins),
    amount(counts.badLogins, "red"),
  ];
}

/** Every panel by its name. */
export const PANELS: Readonly<Record<PanelName, Panel>> = {
  deliveries,
  messages,
  destinations,
  errors,
  doors,
};
