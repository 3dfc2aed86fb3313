/** Command lines of POP3, from bytes (C qmail: commands.c). Pure. */

/** RFC 2449 asks for 255. */
const LINE_MAX = 1024;
const LF = 10;
const NOTHING = Buffer.alloc(0);

/** `verb` in lower case; null: the line was too long. */
export type Command = { readonly verb: string; readonly argument: string } | null;

export class CommandReader {
  #input: Buffer = NOTHING;
  #tooLong = false;

  push(chunk: Buffer): void {
    this.#input = this.#input.length > 0 ? Buffer.concat([this.#input, chunk]) : chunk;
  }

  /** The next command; undefined: it is not all there yet. */
  next(): Command | undefined {
    const end = this.#input.indexOf(LF);
    if (end < 0) {
      this.#tooLong ||= this.#input.length > LINE_MAX;
      // Of a line that is too long only its end is still wanted.
      if (this.#tooLong) this.#input = NOTHING;
      return undefined;
    }
    const tooLong = this.#tooLong || end > LINE_MAX;
    const line = tooLong ? "" : this.#input.toString("latin1", 0, end);
    this.#tooLong = false;
    this.#input = this.#input.subarray(end + 1);
    return tooLong ? null : parseCommand(line);
  }

  /** What has not been taken, which is given away. */
  rest(): Buffer {
    const rest = this.#input;
    this.#input = NOTHING;
    return rest;
  }
}

function parseCommand(line: string): Command {
  // As in C, a NUL ends the line.
  const text = line.replace(/\r$/, "").split("\0", 1)[0] ?? "";
  const space = text.indexOf(" ");
  if (space < 0) return { verb: text.toLowerCase(), argument: "" };
  return {
    verb: text.slice(0, space).toLowerCase(),
    argument: text.slice(space).replace(/^ +/, ""),
  };
}

/** The number that `text` begins with, as qmail scans it; null: none. */
export function scanNumber(text: string): number | null {
  const digits = /^\d+/.exec(text)?.[0];
  return digits === undefined ? null : Number(digits);
}
