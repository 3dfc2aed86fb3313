/** Which lines of a log are meant: by sender, recipient, domain, message, result, time, text. */

import { parseLogLine } from "../../qmail/send/log.ts";
import { UsageError } from "../output.ts";

/** Addresses and domains may have * and ?; all that are given must hold. */
export interface Selection {
  readonly from?: string;
  readonly to?: string;
  /** Of sender or recipient. */
  readonly domain?: string;
  readonly id?: string;
  /** success, failure or deferral. */
  readonly result?: string;
  readonly since?: string;
  readonly until?: string;
  readonly grep?: string;
}

interface Message {
  readonly sender: string;
  readonly chosen: boolean;
}

/** Decides on one line after the other: a delivery's two lines are of one message, though only one names it. */
export class Selector {
  readonly #selection: Selection;
  readonly #from: RegExp | null;
  readonly #to: RegExp | null;
  readonly #domain: RegExp | null;
  readonly #grep: RegExp | null;
  readonly #since: number;
  readonly #until: number;
  readonly #messages = new Map<string, Message>();
  readonly #deliveries = new Map<number, { chosen: boolean; start: string }>();
  /** Something that only lines about messages have is asked for. */
  readonly #ofMessage: boolean;
  /** Something that only deliveries have is asked for. */
  readonly #ofDelivery: boolean;

  constructor(selection: Selection, now: number) {
    this.#selection = selection;
    this.#from = glob(selection.from);
    this.#to = glob(selection.to);
    this.#domain = glob(selection.domain === undefined ? undefined : `*@${selection.domain}`);
    this.#grep = pattern(selection.grep);
    this.#since = time(selection.since, now, Number.NEGATIVE_INFINITY);
    this.#until = time(selection.until, now, Number.POSITIVE_INFINITY);
    this.#ofDelivery = selection.to !== undefined || selection.result !== undefined;
    const { from, id, domain } = selection;
    this.#ofMessage = this.#ofDelivery || [from, id, domain].some((value) => value !== undefined);
    if (selection.result !== undefined && !/^(success|failure|deferral)$/.test(selection.result)) {
      throw new UsageError(`there is no result "${selection.result}"`, [
        "there is: success, failure, deferral",
      ]);
    }
  }

  /** The lines to show now that `text` has come: none, this one, or a delivery's two. */
  line(ms: number, text: string): string[] {
    const lines = this.#ofMessage ? this.#select(text) : [text];
    if (ms < this.#since || ms > this.#until) return [];
    return lines.filter((line) => this.#grep === null || this.#grep.test(line));
  }

  #select(text: string): string[] {
    const parsed = parseLogLine(text);
    switch (parsed.type) {
      case "info": {
        const { id, sender } = parsed;
        const chosen = matches(this.#from, sender) && (this.#selection.id ?? id) === id;
        this.#messages.set(id, { sender, chosen });
        return !this.#ofDelivery && chosen && matches(this.#domain, sender) ? [text] : [];
      }
      case "starting": {
        const message = this.#messages.get(parsed.id);
        const chosen =
          (message?.chosen ?? this.#selection.id === parsed.id) &&
          matches(this.#to, parsed.recipient) &&
          (matches(this.#domain, parsed.recipient) || matches(this.#domain, message?.sender ?? ""));
        const waits = chosen && this.#selection.result !== undefined;
        this.#deliveries.set(parsed.delivery, { chosen, start: waits ? text : "" });
        return chosen && !waits ? [text] : [];
      }
      case "delivery": {
        const delivery = this.#deliveries.get(parsed.delivery);
        this.#deliveries.delete(parsed.delivery);
        if (!delivery?.chosen) return [];
        if ((this.#selection.result ?? parsed.outcome) !== parsed.outcome) return [];
        return delivery.start === "" ? [text] : [delivery.start, text];
      }
      case "end":
      case "bounce": {
        const message = this.#messages.get(parsed.id);
        if (parsed.type === "end") this.#messages.delete(parsed.id);
        const chosen = message?.chosen ?? this.#selection.id === parsed.id;
        return !this.#ofDelivery && chosen && matches(this.#domain, message?.sender ?? "")
          ? [text]
          : [];
      }
      default:
        return [];
    }
  }
}

function matches(pattern: RegExp | null, text: string): boolean {
  return pattern === null || pattern.test(text);
}

function glob(text: string | undefined): RegExp | null {
  if (text === undefined) return null;
  const escaped = text.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`, "i");
}

function pattern(text: string | undefined): RegExp | null {
  if (text === undefined) return null;
  try {
    return new RegExp(text, "i");
  } catch (error) {
    throw new UsageError(`--grep is no regular expression: ${(error as Error).message}`);
  }
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** "2h" (ago), or a date in any form that JavaScript reads. */
function time(text: string | undefined, now: number, otherwise: number): number {
  if (text === undefined) return otherwise;
  const [, amount, unit = ""] = /^(\d+)([smhdw])$/.exec(text) ?? [];
  if (amount !== undefined) return now - Number(amount) * (UNITS[unit] as number) * 1000;
  const ms = new Date(text).getTime();
  if (!Number.isNaN(ms)) return ms;
  throw new UsageError(`"${text}" is no time`, [
    "for example: 2h, 3d, 2026-11-24, 2026-11-24T15:00",
  ]);
}
