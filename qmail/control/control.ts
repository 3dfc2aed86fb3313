/**
 * Control files, read as qmail reads them (qmail-control(5), C qmail: control.c).
 *
 * Texts are byte strings: one character per byte (latin1), so that nothing is lost or invented.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The control files of one installation. */
export class Control {
  readonly #home: string;

  /** `home` is the qmail home; "." for a program that has gone there. */
  constructor(home: string) {
    this.#home = home;
  }

  /**
   * The first line of control/`name` without trailing spaces, tabs and newline; null when there is
   * no such file. Throws on any other trouble.
   */
  line(name: string): string | null {
    const text = this.#read(name);
    if (text === null) return null;
    const end = text.indexOf("\n");
    return stripTrailing(end < 0 ? text : text.slice(0, end));
  }

  /** As `line`, with `me` (when `orMe`) and then `fallback` for a file that is not there. */
  lineOr(name: string, orMe: boolean, fallback: string): string {
    return this.line(name) ?? (orMe ? this.line("me") : null) ?? fallback;
  }

  /** The number that the first line starts with; `fallback` when there is no file or no number. */
  int(name: string, fallback: number): number {
    const digits = /^\d+/.exec(this.line(name) ?? "")?.[0];
    return digits === undefined ? fallback : Number(digits);
  }

  /**
   * The lines of control/`name` without blank lines, comments and trailing space. When there is no
   * such file: the one line of `me` if `orMe` and `me` exists, else null.
   */
  lines(name: string, orMe = false): string[] | null {
    const text = this.#read(name);
    if (text === null) {
      const me = orMe ? this.line("me") : null;
      return me === null ? null : [me];
    }
    return linesOf(text);
  }

  #read(name: string): string | null {
    return textOf(join(this.#home, "control", name));
  }
}

/** The text of the file `path`; null when there is none. Throws on any other trouble. */
export function textOf(path: string): string | null {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** The lines of `text` without blank lines, comments and trailing space. */
export function linesOf(text: string): string[] {
  return text
    .split("\n")
    .map(stripTrailing)
    .filter((line) => line !== "" && !line.startsWith("#"));
}

function stripTrailing(line: string): string {
  return line.replace(/[\n \t]+$/, "");
}
