/**
 * The terminal: its other screen, its keys, its size. Writes only the lines that have changed, and leaves the
 * terminal as it was, however the program ends.
 */

import { writeSync } from "node:fs";
import { emitKeypressEvents } from "node:readline";
import type { ReadStream, WriteStream } from "node:tty";
import type { Size } from "./arrange.ts";
import type { Key } from "./ui.ts";

const ESC = "\x1b[";
/** The other screen, no cursor, no wrapping: what is too wide for the terminal after all is cut off there. */
const ENTER = `${ESC}?1049h${ESC}?25l${ESC}?7l`;
const LEAVE = `${ESC}0m${ESC}?7h${ESC}?25h${ESC}?1049l`;
const CLEAR = `${ESC}2J`;
/** Before a line and not behind it: at the edge the cursor stands on the last character. */
const CLEAR_LINE = `${ESC}0m${ESC}K`;

/** Within this time a signal has stopped us. */
const STOPPED_MS = 100;
/** As of a terminal that does not tell. */
const USUAL: Size = { width: 80, height: 24 };

export interface Terminal {
  readonly input: ReadStream;
  readonly output: WriteStream & { readonly fd: number };
}

/** What happens at the terminal. */
export interface Watcher {
  key(key: Key): void;
  /** Everything must be painted anew. */
  resized(): void;
}

/** Why there can be no screen; null when there can. */
export function noScreen({ input, output }: Terminal, term: string | undefined): string | null {
  if (!output.isTTY) return "standard output is no terminal";
  if (!input.isTTY) return "standard input is no terminal";
  if (term === undefined || term === "" || term === "dumb") {
    return `the terminal cannot place text (TERM is "${term ?? ""}")`;
  }
  return null;
}

export class Screen {
  readonly #terminal: Terminal;
  readonly #watcher: Watcher;
  #shown: readonly string[] = [];
  #open = false;
  #closed = false;
  readonly #keypress = (text: string | undefined, key: KeyPress) => {
    const name = keyName(text, key);
    if (name !== null) this.#watcher.key(name);
  };
  readonly #resize = () => {
    this.repaint();
    this.#watcher.resized();
  };
  readonly #continued = () => {
    this.#enter();
    this.#watcher.resized();
  };
  readonly #leave = () => this.#restore();

  constructor(terminal: Terminal, watcher: Watcher) {
    this.#terminal = terminal;
    this.#watcher = watcher;
  }

  get size(): Size {
    const { columns, rows } = this.#terminal.output;
    return { width: columns || USUAL.width, height: rows || USUAL.height };
  }

  /** Takes the terminal. */
  open(): void {
    const { input, output } = this.#terminal;
    emitKeypressEvents(input);
    input.on("keypress", this.#keypress);
    output.on("resize", this.#resize);
    process.on("SIGCONT", this.#continued);
    // The last chance to leave it in order, when we end by a fault of ours.
    process.on("exit", this.#leave);
    process.on("uncaughtExceptionMonitor", this.#leave);
    this.#enter();
  }

  /** Gives it back. */
  close(): void {
    const { input, output } = this.#terminal;
    this.#closed = true;
    this.#restore();
    input.off("keypress", this.#keypress);
    input.pause();
    output.off("resize", this.#resize);
    process.off("SIGCONT", this.#continued);
    process.off("exit", this.#leave);
    process.off("uncaughtExceptionMonitor", this.#leave);
  }

  /** The next `draw` writes every line. */
  repaint(): void {
    this.#shown = [];
  }

  /** Shows `lines`, the first at the top. */
  draw(lines: readonly string[]): void {
    if (!this.#open) return;
    const change = changes(this.#shown, lines);
    this.#shown = lines;
    if (change !== "") this.#terminal.output.write(change);
  }

  /** Stops as Ctrl-Z does elsewhere, with whoever has started us, until SIGCONT. */
  suspend(): void {
    this.#restore();
    process.kill(0, "SIGTSTP");
    // Where no shell could let us go on, the kernel does not stop us.
    setTimeout(() => {
      if (!this.#open && !this.#closed) this.#continued();
    }, STOPPED_MS);
  }

  #enter(): void {
    const { input, output } = this.#terminal;
    this.#open = true;
    // Who stopped us may have changed the mode behind our back: what Node thinks is set it does not set again.
    input.setRawMode(false);
    input.setRawMode(true);
    input.resume();
    output.write(ENTER + CLEAR);
    this.repaint();
  }

  /** Written at once, since nothing may come after an exit. */
  #restore(): void {
    if (!this.#open) return;
    this.#open = false;
    try {
      this.#terminal.input.setRawMode(false);
      writeSync(this.#terminal.output.fd, LEAVE);
    } catch {
      // The terminal is gone.
    }
  }
}

/** What must be written so that a screen that shows `before` shows `lines`. */
export function changes(before: readonly string[], lines: readonly string[]): string {
  let text = before.length === 0 ? CLEAR : "";
  for (const [at, line] of lines.entries()) {
    if (before[at] !== line) text += `${ESC}${at + 1};1H${CLEAR_LINE}${line}`;
  }
  for (let at = lines.length; at < before.length; at++) text += `${ESC}${at + 1};1H${CLEAR_LINE}`;
  return text;
}

interface KeyPress {
  readonly name?: string;
  readonly ctrl?: boolean;
  readonly meta?: boolean;
  readonly shift?: boolean;
}

/** The name of a key: "up", "ctrl-c", "shift-tab", or the character that it types; null for what is none. */
export function keyName(
  text: string | undefined,
  { name, ctrl, meta, shift }: KeyPress,
): Key | null {
  if (ctrl) return name === undefined ? null : `ctrl-${name}`;
  if (name === "tab" && shift) return "shift-tab";
  if (name !== undefined && (name.length > 1 || meta)) return name === "enter" ? "return" : name;
  return text !== undefined && /^[^\p{Cc}]$/u.test(text) ? text : null;
}
