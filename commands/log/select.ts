/** Which lines of a log are meant: by sender, recipient, domain, message, result, client, login, time, text. */

import { classify } from "../../qmail/log/other-lines.ts";
import { parseLogLine } from "../../qmail/send/log.ts";
import { UsageError } from "../output.ts";
import { moment, type Test, whole } from "../patterns.ts";

/** Addresses and domains may have * and ?; all that are given must hold. */
export interface Selection {
  readonly from?: string;
  readonly to?: string;
  /** Of sender or recipient. */
  readonly domain?: string;
  readonly id?: string;
  readonly qp?: string;
  /** success, failure or deferral; of a door what it did. */
  readonly result?: string;
  /** The address of a door's client. */
  readonly client?: string;
  /** Who has logged in, or tried to. */
  readonly user?: string;
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
  readonly #from: Test<string> | null;
  readonly #to: Test<string> | null;
  readonly #domain: Test<string> | null;
  readonly #client: Test<string> | null;
  readonly #user: Test<string> | null;
  readonly #grep: Test<string> | null;
  readonly #since: number;
  readonly #until: number;
  readonly #messages = new Map<string, Message>();
  readonly #deliveries = new Map<number, { chosen: boolean; start: string }>();
  /** Something that only lines about messages have is asked for. */
  readonly #ofMessage: boolean;
  /** Something that only deliveries have is asked for. */
  readonly #ofDelivery: boolean;
  /** Something that only doors know is asked for. */
  readonly #ofDoor: boolean;

  constructor(selection: Selection, now: number) {
    this.#selection = selection;
    this.#from = given(selection.from, whole);
    this.#to = given(selection.to, whole);
    this.#domain = given(selection.domain, (name) => whole(`*@${name}`));
    this.#client = given(selection.client, whole);
    this.#user = given(selection.user, whole);
    this.#grep = given(selection.grep, expression);
    this.#since =
      given(selection.since, (text) => moment(text, "--since", now)) ?? Number.NEGATIVE_INFINITY;
    this.#until =
      given(selection.until, (text) => moment(text, "--until", now)) ?? Number.POSITIVE_INFINITY;
    const { from, to, domain, id, qp, result, client, user } = selection;
    this.#ofDelivery = to !== undefined || result !== undefined;
    this.#ofDoor =
      client !== undefined || user !== undefined || DOOR_RESULTS.includes(result ?? "");
    this.#ofMessage =
      this.#ofDelivery ||
      this.#ofDoor ||
      [from, domain, id, qp].some((value) => value !== undefined);
    checkResult(result);
  }

  /** The lines to show now that `text` has come: none, this one, or a delivery's two. */
  line(ms: number, text: string, tag = ""): string[] {
    const lines = this.#ofMessage ? this.#select(text, tag) : [text];
    if (ms < this.#since || ms > this.#until) return [];
    return lines.filter((line) => matches(this.#grep, line));
  }

  #select(text: string, tag: string): string[] {
    const parsed = parseLogLine(text);
    if (parsed.type === "other") return this.#hasDoorLine(text, tag) ? [text] : [];
    if (this.#ofDoor) return [];
    switch (parsed.type) {
      case "info": {
        const { id, sender, qp } = parsed;
        const chosen =
          matches(this.#from, sender) &&
          (this.#selection.id ?? id) === id &&
          (this.#selection.qp ?? String(qp)) === String(qp);
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

  #hasDoorLine(text: string, tag: string): boolean {
    const { id, qp, result } = this.#selection;
    const line = id === undefined ? classify(text, tag) : null;
    if (!line) return false;
    const { event, from, to = "", ip, user } = line;
    const recipients = to.split(",");
    return (
      (result ?? event) === event &&
      (qp ?? String(line.qp)) === String(line.qp) &&
      matches(this.#client, ip) &&
      matches(this.#user, user) &&
      matches(this.#from, from) &&
      recipients.some((recipient) => matches(this.#to, recipient)) &&
      [from, ...recipients].some((address) => matches(this.#domain, address))
    );
  }
}

const DELIVERY_RESULTS = ["success", "failure", "deferral"];
const DOOR_RESULTS = ["accepted", "refused", "denied", "login", "login-failed"];

function checkResult(result: string | undefined): void {
  const known = [...DELIVERY_RESULTS, ...DOOR_RESULTS];
  if (result === undefined || known.includes(result)) return;
  throw new UsageError(`there is no result "${result}"`, [`there is: ${known.join(", ")}`]);
}

function matches(test: Test<string> | null, text: string | undefined): boolean {
  return test === null || (text !== undefined && test(text));
}

function given<T>(text: string | undefined, make: (text: string) => T): T | null {
  return text === undefined ? null : make(text);
}

function expression(text: string): Test<string> {
  try {
    const found = new RegExp(text, "i");
    return (line) => found.test(line);
  } catch (error) {
    throw new UsageError(`--grep is no regular expression: ${(error as Error).message}`);
  }
}
