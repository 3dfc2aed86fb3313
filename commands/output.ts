/** What a command may say, and how it fails. Implemented in cli/; commands never print by themselves. */

import { EXIT } from "../qmail/exit.ts";

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

export interface Output {
  /** True when the user asked for JSON: then only `data` prints. */
  readonly json: boolean;
  /** Where lines for a person go; no `width` where it is no screen. */
  readonly screen: { readonly width: number | null; readonly colour: boolean };
  /** One line for a person on standard output. May hold kleur colours: they are removed where not wanted. */
  line(text?: string): void;
  /** A table for a person, with columns as wide as their cells. */
  table(columns: readonly Column[], rows: readonly (readonly string[])[]): void;
  /** The one JSON document of this command; prints only when `json`. */
  data(value: unknown): void;
  /** As `data` for an array of any length; `values` are only asked for when `json`. */
  dataList(values: Iterable<unknown>): void;
  /** As `dataList` for values that are JSON already, a line each without newline at the end of a piece. */
  dataLines(pieces: AsyncIterable<string>): Promise<void>;
  /** Resolves when the reader has taken enough for more: without it all that a slow one leaves stays in memory. */
  drained(): Promise<void>;
  /** A line on standard error, for what is no result: progress, warnings. */
  note(text: string): void;
}

/** An expected failure: what went wrong, and what to do about it. `code` is the exit code. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly code: number;
  /** One line each: ways on. */
  readonly hints: readonly string[];

  constructor(
    message: string,
    options: { code?: number; hints?: readonly string[]; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.code = options.code ?? EXIT.soft;
    this.hints = options.hints ?? [];
  }
}

/** The user asked for something that does not exist or make sense: exit 100. */
export class UsageError extends CommandError {
  constructor(message: string, hints: readonly string[] = []) {
    super(message, { code: EXIT.hard, hints });
  }
}
