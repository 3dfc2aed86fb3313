/**
 * What qmail-send's log says has been tried, read from its end backwards when somebody first asks, so far
 * as the messages asked for need it. Ours and a C qmail's alike.
 */

import { existsSync } from "node:fs";
import { plainBytes } from "../../qmail/log/indimail.ts";
import { DEFERRAL, FAILURE, type SendLines, SendScanner } from "../../qmail/log/send-scanner.ts";
import { latin1, StampReader } from "../../qmail/log/stamp.ts";
import type { MessId } from "../../qmail/queue/fmtqfn.ts";
import { type Limits, linesBackwards } from "../log/backwards.ts";
import { CommandError } from "../output.ts";
import { type AttemptSource, type Attempts, UNKNOWN } from "./attempts.ts";

/** Enough for a selection to be right in all but huge logs. */
export const THOROUGH: Limits = { bytes: 4 * 2 ** 30, time: 120_000 };

/** For what is only shown beside other things. */
export const QUICK: Limits = { bytes: 64 * 2 ** 20, time: 500 };

/** Where other qmails' qmail-send is logged, below /var/log. */
const ELSEWHERE = ["qmail/qmail-send", "qmail/send", "qmail-send", "qmail"];

/** The directory with qmail-send's log: `named`, that of `home`, or where a C qmail's is; null when there is none. */
export function sendLog(home: string, named?: string): string | null {
  if (named !== undefined) {
    if (existsSync(`${named}/current`)) return named;
    throw new CommandError(`there is no log in "${named}": it has no file "current"`, {
      hints: ["--log needs a directory that multilog writes for qmail-send"],
    });
  }
  const usual = [`${home}/log/qmail-send`];
  if (home === "/var/qmail") usual.push(...ELSEWHERE.map((name) => `/var/log/${name}`));
  return usual.find((directory) => existsSync(`${directory}/current`)) ?? null;
}

export interface LogAttemptsOptions {
  /** The messages that may be asked for; called once, before the log is read. */
  readonly wanted: () => Iterable<MessId>;
  readonly limits: Limits;
  /** Milliseconds since 1970: what stamps without a year are read by. */
  readonly now: number;
}

export class LogAttempts implements AttemptSource {
  readonly #directory: string;
  readonly #options: LogAttemptsOptions;
  #found: ReadonlyMap<number, Attempts> | null = null;
  /** Messages whose beginning is in the log. */
  #begun: ReadonlySet<number> = new Set();

  constructor(directory: string, options: LogAttemptsOptions) {
    this.#directory = directory;
    this.#options = options;
  }

  /** Throws CommandError when the log cannot be read. */
  of(id: MessId): Attempts {
    this.#found ??= this.#read();
    const key = Number(id);
    const exact = this.#begun.has(key);
    const attempts = this.#found.get(key);
    if (attempts) return { ...attempts, exact };
    return exact ? UNTRIED : UNKNOWN;
  }

  #read(): ReadonlyMap<number, Attempts> {
    // Ids beyond 2^53 would be taken for one another: of those the log tells nothing.
    const wanted = [...this.#options.wanted()].map(Number).filter(Number.isSafeInteger);
    const reader = new BackwardsReader(new Set(wanted), this.#options.now);
    try {
      linesBackwards(this.#directory, this.#options.limits, (bytes, from, to) =>
        reader.line(bytes, from, to),
      );
    } catch (error) {
      throw new CommandError(`cannot read the log: ${(error as Error).message}`, {
        hints: ["run it as root, or say where qmail-send's log is: --log DIR"],
        cause: error,
      });
    }
    this.#begun = reader.begun;
    return reader.found;
  }
}

const UNTRIED: Attempts = { ...UNKNOWN, exact: true };

interface Report {
  readonly outcome: number;
  readonly text: string;
  readonly time: number;
}

/** Gets the lines from the last to the first. */
class BackwardsReader implements SendLines {
  readonly found = new Map<number, Attempts & { tries: number }>();
  readonly begun = new Set<number>();
  readonly #wanted: ReadonlySet<number>;
  /** Reports whose beginning is still to come. */
  readonly #reports = new Map<number, Report>();
  readonly #scanner = new SendScanner(this);
  readonly #stamp: StampReader;
  #bytes: Uint8Array = new Uint8Array(0);

  constructor(wanted: ReadonlySet<number>, now: number) {
    this.#wanted = wanted;
    this.#stamp = new StampReader(now);
  }

  /** False when the beginnings of all wanted messages were seen. */
  line(bytes: Uint8Array, from: number, to: number): boolean {
    this.#stamp.read(bytes, from, to);
    const plain = plainBytes(bytes, this.#stamp.at, to);
    this.#bytes = plain ?? bytes;
    if (plain) this.#scanner.scan(plain, 0, plain.length);
    else this.#scanner.scan(bytes, this.#stamp.at, to);
    return this.begun.size < this.#wanted.size;
  }

  delivery(delivery: number, outcome: number, from: number, to: number): void {
    const text = outcome === DEFERRAL || outcome === FAILURE ? latin1(this.#bytes, from, to) : "";
    this.#reports.set(delivery, { outcome, text, time: this.#stamp.ms });
  }

  mangled(delivery: number): void {
    const text = "report mangled, will defer";
    this.#reports.set(delivery, { outcome: DEFERRAL, text, time: this.#stamp.ms });
  }

  starting(delivery: number, id: number, _local: boolean, from: number, to: number): void {
    const report = this.#reports.get(delivery);
    this.#reports.delete(delivery);
    if (!report || !this.#wanted.has(id) || this.begun.has(id)) return;
    const known = this.found.get(id);
    if (!known && report.outcome !== DEFERRAL && report.outcome !== FAILURE) return;
    const recipient = latin1(this.#bytes, from, to);
    if (!known) {
      const { text: error, time } = report;
      this.found.set(id, { tries: 1, exact: true, error, recipient, time });
    } else if (known.recipient === recipient) known.tries++;
  }

  /** What is before belongs to another message with this number. */
  newMsg(id: number): void {
    if (this.#wanted.has(id)) this.begun.add(id);
  }

  /** No delivery goes on from one run of qmail-send to the next. */
  exiting(): void {
    this.#reports.clear();
  }

  infoMsg(): void {}
  status(): void {}
  bounceMsg(): void {}
  endMsg(): void {}
  tripleBounce(): void {}
  trouble(): void {}
}
