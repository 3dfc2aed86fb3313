/**
 * The lines of qmail-log(5): one function per line, and the parser that reads them back.
 *
 * Lines keep C qmail's words exactly, since log analysers read them. Texts from outside are made safe
 * by `logSafe` first.
 */

import { plainLine } from "../log/indimail.ts";
import type { MessId } from "../queue/fmtqfn.ts";
import { oneLine } from "../warn.ts";

export const CHANNELS = ["local", "remote"] as const;
export type Channel = (typeof CHANNELS)[number];

/** What may be done to a message from outside (action.ts). */
export const ACTIONS = [
  "delete",
  "bounce",
  "hold",
  "release",
  "retry",
  "redirect",
  "expire",
] as const;
export type ActionName = (typeof ACTIONS)[number];

/** What became of a delivery. */
export type Outcome = "success" | "deferral" | "failure";

/** `text` with newlines as "/" and every byte that is not printable ASCII, or is %, as "_". */
export function logSafe(text: string): string {
  return text.replace(/[^!-$&-~]/g, (byte) => (byte === "\n" ? "/" : "_"));
}

export function newMsg(id: MessId): string {
  return `new msg ${id}\n`;
}

export interface InfoMsg {
  readonly bytes: number;
  readonly sender: string;
  readonly qp: number;
  readonly uid: number;
}

export function infoMsg(id: MessId, info: InfoMsg): string {
  const from = logSafe(info.sender);
  return `info msg ${id}: bytes ${info.bytes} from <${from}> qp ${info.qp} uid ${info.uid}\n`;
}

export interface Start {
  readonly delivery: number;
  readonly channel: Channel;
  readonly recipient: string;
}

export function startingDelivery(id: MessId, start: Start): string {
  const to = logSafe(start.recipient);
  return `starting delivery ${start.delivery}: msg ${id} to ${start.channel} ${to}\n`;
}

export function delivery(number: number, outcome: Outcome, text: string): string {
  return `delivery ${number}: ${outcome}: ${logSafe(text)}\n`;
}

export function reportMangled(number: number): string {
  return `delivery ${number}: report mangled, will defer\n`;
}

export interface Use {
  readonly used: number;
  readonly limit: number;
}

export function status(use: Readonly<Record<Channel, Use>>, exitasap: boolean): string {
  const { local, remote } = use;
  const end = exitasap ? " exitasap" : "";
  return `status: local ${local.used}/${local.limit} remote ${remote.used}/${remote.limit}${end}\n`;
}

export function bounceMsg(id: MessId, qp: number): string {
  return `bounce msg ${id} qp ${qp}\n`;
}

export function endMsg(id: MessId): string {
  return `end msg ${id}\n`;
}

export function tripleBounce(path: string): string {
  return `triple bounce: discarding ${path}\n`;
}

/** Ours: something was done to so many recipients of a message, because somebody asked for it. */
export function action(id: MessId, name: ActionName, recipients: number): string {
  return `action ${name}: msg ${id} recipients ${recipients}\n`;
}

export interface Address {
  readonly channel: Channel;
  readonly address: string;
}

/** Ours: a recipient of a message gave way to another. */
export function redirect(id: MessId, from: Address, to: Address): string {
  const [old, next] = [from, to].map((each) => `${each.channel} ${logSafe(each.address)}`);
  return `action redirect: msg ${id} from ${old} to ${next}\n`;
}

export const EXITING = "status: exiting\n";

export function warning(text: string): string {
  return `warning: ${oneLine(text)}\n`;
}

export function alert(text: string): string {
  return `alert: ${oneLine(text)}\n`;
}

export const INJECT_TROUBLE = warning("trouble injecting bounce message, will try later");
export const INJECT_NO_START = warning("unable to start qmail-queue, will try later");

/** A line of qmail-send's log as data; times and tags before it are for the caller to take off. */
export type LogLine =
  | { readonly type: "new"; readonly id: MessId }
  | ({ readonly type: "info"; readonly id: MessId } & InfoMsg)
  | ({ readonly type: "starting"; readonly id: MessId } & Start)
  | {
      readonly type: "delivery";
      readonly delivery: number;
      readonly outcome: Outcome;
      readonly text: string;
    }
  | {
      readonly type: "status";
      readonly local: Use;
      readonly remote: Use;
      readonly exitasap: boolean;
    }
  | { readonly type: "bounce"; readonly id: MessId; readonly qp: number }
  | { readonly type: "end"; readonly id: MessId }
  | {
      readonly type: "action";
      readonly id: MessId;
      readonly name: ActionName;
      readonly recipients: number;
    }
  | { readonly type: "redirect"; readonly id: MessId; readonly from: Address; readonly to: Address }
  | { readonly type: "exiting" }
  | { readonly type: "other"; readonly text: string };

type Parser = readonly [RegExp, (match: readonly string[]) => LogLine];

const PARSERS: readonly Parser[] = [
  [/^new msg (\d+)$/, ([, id = ""]) => ({ type: "new", id })],
  [
    /^info msg (\d+): bytes (\d+) from <(.*)> qp (\d+) uid (\d+)$/,
    ([, id = "", bytes, sender = "", qp, uid]) => {
      return { type: "info", id, bytes: Number(bytes), sender, qp: Number(qp), uid: Number(uid) };
    },
  ],
  [
    /^starting delivery (\d+): msg (\d+) to (local|remote) (.*)$/,
    ([, number, id = "", channel, recipient = ""]) => {
      return {
        type: "starting",
        id,
        delivery: Number(number),
        channel: channel as Channel,
        recipient,
      };
    },
  ],
  [
    /^delivery (\d+): (success|deferral|failure): (.*)$/,
    ([, number, outcome, text = ""]) => {
      return { type: "delivery", delivery: Number(number), outcome: outcome as Outcome, text };
    },
  ],
  [
    /^status: local (\d+)\/(\d+) remote (\d+)\/(\d+)( exitasap)?$/,
    ([, ul, ll, ur, lr, exitasap]) => {
      return {
        type: "status",
        local: { used: Number(ul), limit: Number(ll) },
        remote: { used: Number(ur), limit: Number(lr) },
        exitasap: exitasap !== undefined,
      };
    },
  ],
  [/^bounce msg (\d+) qp (\d+)$/, ([, id = "", qp]) => ({ type: "bounce", id, qp: Number(qp) })],
  [/^end msg (\d+)$/, ([, id = ""]) => ({ type: "end", id })],
  [
    new RegExp(`^action (${ACTIONS.join("|")}): msg (\\d+) recipients (\\d+)$`),
    ([, name, id = "", recipients]) => {
      return { type: "action", id, name: name as ActionName, recipients: Number(recipients) };
    },
  ],
  [
    /^action redirect: msg (\d+) from (local|remote) (\S*) to (local|remote) (\S*)$/,
    ([, id = "", oldChannel, old = "", newChannel, next = ""]) => {
      const from = { channel: oldChannel as Channel, address: old };
      const to = { channel: newChannel as Channel, address: next };
      return { type: "redirect", id, from, to };
    },
  ],
  [/^status: exiting$/, () => ({ type: "exiting" })],
];

/** One line of the log, without its newline; indimail's form, too. What is not known is `other`. */
export function parseLogLine(line: string): LogLine {
  const plain = plainLine(line) ?? line;
  for (const [pattern, make] of PARSERS) {
    const match = pattern.exec(plain);
    if (match) return make(match);
  }
  return { type: "other", text: line };
}
