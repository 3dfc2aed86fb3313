/** A real terminal for a program: script(1) makes it, and what is written to it becomes a picture here. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { columns } from "../../../commands/printable.ts";

/** What our screen writes, and nothing else: a sequence more is a fault. */
const SEQUENCE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: sequences begin with one
  /^\x1b\[(?:(?<row>\d+);(?<column>\d+)H|(?<clear>2J)|(?<line>K)|[0-9;]*m|\?(?<mode>1049|25|7)(?<set>[hl]))/;

/** The lines that a terminal of `rows` shows after `written`. */
export function picture(written: string, rows: number): { lines: string[]; alternate: boolean } {
  const lines = new Array<string>(rows).fill("");
  let alternate = false;
  let row = 0;
  for (let at = 0; at < written.length; ) {
    if (written[at] !== "\x1b") {
      const end = written.indexOf("\x1b", at);
      const text = written.slice(at, end < 0 ? undefined : end);
      if (alternate) lines[row] += text;
      at += text.length;
      continue;
    }
    const match = SEQUENCE.exec(written.slice(at, at + 20));
    if (!match) {
      // Of a program that is in the middle of a sequence.
      if (written.length - at < 10) break;
      throw new Error(`the terminal got ${JSON.stringify(written.slice(at, at + 20))}`);
    }
    const { row: to, clear, line, mode, set } = match.groups ?? {};
    if (to !== undefined) row = Number(to) - 1;
    if (clear !== undefined) lines.fill("");
    if (line !== undefined) lines[row] = "";
    if (mode === "1049") alternate = set === "h";
    at += match[0].length;
  }
  return { lines, alternate };
}

export class TestTerminal {
  readonly #child: ChildProcess;
  #written = "";
  readonly #rows: number;

  /** Runs `command`, a line for the shell, in a terminal. */
  constructor(
    command: string,
    { width, rows }: { width: number; rows: number },
    env: NodeJS.ProcessEnv = {},
  ) {
    this.#rows = rows;
    this.#child = spawn(
      "script",
      [
        "-qfc",
        `stty cols ${width} rows ${rows}; tty; ${command}; echo "left with $?"; stty -a`,
        "/dev/null",
      ],
      {
        env: { ...process.env, TERM: "xterm-256color", ...env },
        stdio: ["pipe", "pipe", "inherit"],
      },
    );
    this.#child.stdout?.setEncoding("utf8").on("data", (text) => {
      this.#written += text;
    });
  }

  /** Everything that was written, sequences and all. */
  get written(): string {
    return this.#written;
  }

  /** The terminal's device. */
  get device(): string {
    return /\/dev\/\S+/.exec(this.#written)?.[0] ?? "";
  }

  get screen(): string {
    return picture(this.#written, this.#rows).lines.join("\n");
  }

  get alternate(): boolean {
    return picture(this.#written, this.#rows).alternate;
  }

  /** The widest line that is shown. */
  get width(): number {
    return Math.max(...picture(this.#written, this.#rows).lines.map(columns));
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Resolves when the screen, or what was written, is as wanted. */
  async until(wanted: (terminal: TestTerminal) => boolean, what: string): Promise<void> {
    const expired = AbortSignal.timeout(60_000);
    while (!wanted(this)) {
      if (expired.aborted)
        throw new Error(`${what}:\n${this.screen}\n${JSON.stringify(this.#written.slice(-500))}`);
      await Promise.race([
        once(this.#child.stdout as NonNullable<ChildProcess["stdout"]>, "data"),
        once(expired, "abort"),
      ]);
    }
  }

  shows(pattern: RegExp): Promise<void> {
    return this.until(({ screen }) => pattern.test(screen), `the screen does not show ${pattern}`);
  }

  /** Resolves when the program has left, with what `stty -a` said afterwards. */
  async left(): Promise<string> {
    await this.until(
      ({ written }) => /left with \d+[\s\S]*\becho\b/.test(written),
      "it does not leave",
    );
    return this.#written.slice(this.#written.lastIndexOf("left with"));
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.stdin?.end();
    // When the program has left, the terminal goes by itself.
    if (!this.#written.includes("left with")) this.#child.kill();
    await exited;
  }
}
