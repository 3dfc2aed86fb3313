/**
 * `qmailctl log trace`: one message from connection to last delivery, with the bounces and forwards that
 * came of it, by message number, qp or address.
 *
 * The log is read again until no relative is new. In memory are the lines of open messages only, of each
 * so many.
 */

import { classify } from "../../qmail/log/other-lines.ts";
import { latin1, StampReader } from "../../qmail/log/stamp.ts";
import { parseLogLine } from "../../qmail/send/log.ts";
import { CommandError, type Output, UsageError } from "../output.ts";
import { LineCutter } from "./analysis/read.ts";
import { findSources, type SourceOptions } from "./sources.ts";

export interface TraceLine {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly text: string;
}

interface Traced {
  readonly id: string;
  qp: number;
  from: number;
  sender: string;
  readonly recipients: Set<string>;
  /** qps of bounces and forwards of it, and when. */
  readonly children: { qp: number; time: number }[];
  readonly lines: TraceLine[];
}

const LINES_MAX = 2000;
const RESULTS_MAX = 200;
const ROUNDS_MAX = 10;
/** qps come again: a child is queued within so much of its parent's saying so. */
const NEAR_MS = 120_000;

/** Shows everything about the messages that `what` names. */
export async function logTrace(
  options: SourceOptions & { what: string; output: Output },
): Promise<void> {
  const { what, output } = options;
  if (what === "") {
    throw new UsageError("log trace needs a message", ["its number, its qp, or an address"]);
  }
  const wanted = new Wanted(what);
  let found: Traced[] = [];
  for (let round = 0; round < ROUNDS_MAX; round++) {
    found = await read(options, wanted);
    if (!wanted.addRelatives(found)) break;
  }
  if (found.length === 0) {
    throw new CommandError(`there is no message "${what}" in this log`, {
      hints: ["name older logs with --file", "see: qmailctl log report senders"],
    });
  }
  found.sort((a, b) => a.from - b.from);
  output.data(found.map(({ id, qp, sender, lines }) => ({ id, qp, sender, lines })));
  for (const { id, qp, lines } of found) {
    output.line(`message ${id}, qp ${qp}`);
    for (const { time, text } of lines) output.line(`  ${stamp(time)} ${text}`);
  }
}

function stamp(ms: number): string {
  const date = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return date.toISOString().replace("T", " ").slice(0, 23);
}

/** Which messages are looked for: what the user named, and the relatives found since. */
class Wanted {
  readonly #word: string;
  readonly #relatives = new Map<string, { qp: number; time: number }>();
  /** Parents: messages that have a child with one of these qps. */
  readonly #children = new Map<string, { qp: number; time: number }>();

  constructor(word: string) {
    this.#word = word.toLowerCase().replace(/^<|>$/g, "");
  }

  has(message: Traced): boolean {
    const { id, qp, sender, recipients, children, from } = message;
    if (id === this.#word || String(qp) === this.#word) return true;
    if (sender === this.#word || recipients.has(this.#word)) return true;
    if (near(this.#relatives.values(), { qp, time: from })) return true;
    return children.some((child) => near(this.#children.values(), child));
  }

  /** True when there were new ones. */
  addRelatives(found: readonly Traced[]): boolean {
    const before = this.#relatives.size + this.#children.size;
    for (const { qp, from, children } of found) {
      this.#children.set(`${qp} ${from}`, { qp, time: from });
      for (const child of children) this.#relatives.set(`${child.qp} ${child.time}`, child);
    }
    return this.#relatives.size + this.#children.size > before;
  }
}

function near(
  all: Iterable<{ qp: number; time: number }>,
  { qp, time }: { qp: number; time: number },
): boolean {
  for (const each of all) if (each.qp === qp && Math.abs(each.time - time) < NEAR_MS) return true;
  return false;
}

async function read(options: SourceOptions, wanted: Wanted): Promise<Traced[]> {
  const tracer = new Tracer(wanted);
  const stampReader = new StampReader(Date.now());
  const cutter = new LineCutter((bytes, from, to) => {
    stampReader.read(bytes, from, to);
    tracer.line(stampReader.ms, latin1(bytes, stampReader.at, to), stampReader.tag);
  });
  for (const source of findSources(options)) {
    for await (const chunk of source.open()) cutter.push(chunk);
    cutter.end();
  }
  return tracer.end();
}

class Tracer {
  readonly #wanted: Wanted;
  readonly #open = new Map<string, Traced>();
  readonly #deliveries = new Map<number, Traced>();
  readonly #found: Traced[] = [];
  /** What doors said of a message, by its qp: it is logged apart from qmail-send. */
  readonly #doors = new Map<number, TraceLine[]>();

  constructor(wanted: Wanted) {
    this.#wanted = wanted;
  }

  line(time: number, text: string, tag: string): void {
    const parsed = parseLogLine(text);
    switch (parsed.type) {
      case "new":
        this.#close(parsed.id);
        return;
      case "info": {
        const { id, qp } = parsed;
        this.#close(id);
        const message: Traced = {
          id,
          qp,
          from: time,
          sender: parsed.sender.toLowerCase(),
          recipients: new Set(),
          children: [],
          lines: [],
        };
        this.#open.set(id, message);
        note(message, time, text);
        return;
      }
      case "starting": {
        const message = this.#open.get(parsed.id);
        if (!message) return;
        this.#deliveries.set(parsed.delivery, message);
        if (message.recipients.size < LINES_MAX)
          message.recipients.add(parsed.recipient.toLowerCase());
        note(message, time, text);
        return;
      }
      case "delivery": {
        const message = this.#deliveries.get(parsed.delivery);
        if (!message) return;
        this.#deliveries.delete(parsed.delivery);
        const forward = /^did_\d+\+\d+\+\d+\/qp_(\d+)\//.exec(parsed.text)?.[1];
        if (forward !== undefined) message.children.push({ qp: Number(forward), time });
        note(message, time, text);
        return;
      }
      case "bounce": {
        const message = this.#open.get(parsed.id);
        if (!message) return;
        message.children.push({ qp: parsed.qp, time });
        note(message, time, text);
        return;
      }
      case "end": {
        const message = this.#open.get(parsed.id);
        if (message) note(message, time, text);
        this.#close(parsed.id);
        return;
      }
      case "exiting":
        this.#deliveries.clear();
        return;
      case "other":
        this.#other(time, text, tag);
        return;
      default:
        return;
    }
  }

  end(): Traced[] {
    for (const id of [...this.#open.keys()]) this.#close(id);
    for (const message of this.#found) {
      for (const line of this.#doors.get(message.qp) ?? []) {
        if (Math.abs(line.time - message.from) < NEAR_MS) message.lines.push(line);
      }
      message.lines.sort((a, b) => a.time - b.time);
    }
    return this.#found;
  }

  #other(time: number, text: string, tag: string): void {
    if (!text.includes("qp")) return;
    const qp = classify(text, tag)?.qp;
    if (qp === undefined) return;
    // A qp is a process number, and there are not many of them.
    const lines = this.#doors.get(qp) ?? [];
    if (lines.length < LINES_MAX) lines.push({ time, text });
    this.#doors.set(qp, lines);
  }

  #close(id: string): void {
    const message = this.#open.get(id);
    if (!message) return;
    this.#open.delete(id);
    if (this.#found.length < RESULTS_MAX && this.#wanted.has(message)) this.#found.push(message);
  }
}

function note(message: Traced, time: number, text: string): void {
  if (message.lines.length < LINES_MAX) message.lines.push({ time, text });
}
