/** Reads a log once for what is wanted. In memory are open messages, and what was found. */

import { classify } from "../../../qmail/log/other-lines.ts";
import { type LogLine, parseLogLine } from "../../../qmail/send/log.ts";
import { near, note, type Traced, type TraceLine, type Visit } from "./traced.ts";
import { sessionName, type Wanted } from "./wanted.ts";

const RESULTS_MAX = 200;
/** The number of what a local delivery has queued: a forward's, or what the program `forward` says. */
const FORWARD = /(?:^|\/)(?:did_\d+\+\d+\+\d+\/|\w+:_)qp_(\d+)\//g;
const TRIPLE = /^triple bounce: discarding \S*?(\d+)$/;

export class Tracer {
  readonly #wanted: Wanted;
  readonly #open = new Map<string, Traced>();
  readonly #deliveries = new Map<number, Traced>();
  readonly #found: Traced[] = [];
  readonly #visits = new Map<string, Visit>();

  constructor(wanted: Wanted) {
    this.#wanted = wanted;
  }

  line(time: number, text: string, tag: string): void {
    const parsed = parseLogLine(text);
    if (parsed.type === "other") this.#other(time, text, tag);
    else if (parsed.type === "exiting") this.#deliveries.clear();
    else if (parsed.type !== "status") this.#send(parsed, time, text);
  }

  /** The messages found, the visits of the doors that brought them or were asked for. */
  end(): { found: Traced[]; visits: Visit[] } {
    for (const id of [...this.#open.keys()]) this.#close(id);
    return { found: this.#found, visits: [...this.#visits.values()] };
  }

  #send(
    parsed: Exclude<LogLine, { type: "other" | "exiting" | "status" }>,
    time: number,
    text: string,
  ): void {
    switch (parsed.type) {
      case "new":
        this.#close(parsed.id);
        return;
      case "info":
        this.#close(parsed.id);
        note(this.#begin(parsed.id, time, parsed).lines, time, text);
        return;
      case "starting": {
        const message = this.#message(parsed.id, time);
        this.#deliveries.set(parsed.delivery, message);
        message.recipients.add(parsed.recipient.toLowerCase());
        note(message.lines, time, text);
        return;
      }
      case "delivery": {
        const message = this.#deliveries.get(parsed.delivery);
        this.#deliveries.delete(parsed.delivery);
        if (!message) return;
        for (const [, qp] of parsed.text.matchAll(FORWARD)) {
          message.children.push({ qp: Number(qp), time });
        }
        note(message.lines, time, text);
        return;
      }
      case "bounce": {
        const message = this.#message(parsed.id, time);
        message.children.push({ qp: parsed.qp, time });
        note(message.lines, time, text);
        return;
      }
      case "end":
        note(this.#message(parsed.id, time).lines, time, text);
        this.#close(parsed.id);
    }
  }

  #begin(id: string, time: number, { qp, sender }: { qp: number; sender: string }): Traced {
    const message: Traced = {
      id,
      qp,
      from: time,
      sender: sender.toLowerCase(),
      recipients: new Set(),
      children: [],
      lines: [],
    };
    this.#open.set(id, message);
    return message;
  }

  /** The open message `id`; one that came before this log has no sender and no qp. */
  #message(id: string, time: number): Traced {
    return this.#open.get(id) ?? this.#begin(id, time, { qp: Number.NaN, sender: "?" });
  }

  #close(id: string): void {
    const message = this.#open.get(id);
    if (!message) return;
    this.#open.delete(id);
    if (this.#found.length < RESULTS_MAX && this.#wanted.hasMessage(message)) {
      this.#found.push(message);
    }
  }

  #other(time: number, text: string, tag: string): void {
    const discarded = TRIPLE.exec(text)?.[1];
    if (discarded !== undefined) {
      const message = this.#open.get(discarded);
      if (message) note(message.lines, time, text);
      return;
    }
    const line = classify(text, tag);
    if (!line) return;
    const asked = this.#wanted.namesLine(line);
    if (!asked && !this.#wanted.hasLine(line, time)) return;
    const session = sessionName(line.program, line.session);
    const visit = this.#visit(session, text);
    if (!visit) return;
    visit.asked ||= asked;
    if (line.qp !== undefined) visit.qps.push({ qp: line.qp, time });
    note(visit.lines, time, text);
  }

  /** The visit of this name; null when there are too many. */
  #visit(session: string, text: string): Visit | null {
    const name = session === "" ? text : session;
    const known = this.#visits.get(name);
    if (known) return known;
    if (this.#visits.size >= RESULTS_MAX) return null;
    const visit: Visit = { session, qps: [], asked: false, lines: [] };
    this.#visits.set(name, visit);
    return visit;
  }
}

/** Puts the doors' lines to the messages they brought; what is left was asked for and brought none. */
export function join(
  found: readonly Traced[],
  visits: readonly Visit[],
): { id: string | null; qp: number | null; sender: string | null; lines: TraceLine[] }[] {
  const left = new Set(visits);
  const groups = found.map((message) => {
    const { id, qp, from, sender } = message;
    const brought = visits.filter(({ qps }) => near(qps, { qp, time: from }));
    for (const visit of brought) left.delete(visit);
    const lines = [...brought.flatMap((visit) => visit.lines), ...message.lines];
    lines.sort((a, b) => a.time - b.time);
    return { id, qp: Number.isNaN(qp) ? null : qp, sender, lines };
  });
  const refused = [...left].filter(({ asked }) => asked);
  return [
    ...groups,
    ...refused.map(({ lines }) => ({ id: null, qp: null, sender: null, lines })),
  ].sort((a, b) => (a.lines[0]?.time ?? 0) - (b.lines[0]?.time ?? 0));
}
