/** Cuts what comes into whole lines and puts a stamp before each. Works on chunks, not on bytes. */

/** A line longer than this is written in parts. */
const LINE_MAX = 64 * 1024;

export class Stamper {
  #rest = "";

  /** The whole lines of `rest of before + chunk`, each behind `prefix`; byte strings. */
  push(chunk: string, prefix: string): string {
    const text = this.#rest + chunk;
    const end = text.lastIndexOf("\n");
    if (end < 0 && text.length < LINE_MAX) {
      this.#rest = text;
      return "";
    }
    const whole = end < 0 ? text : text.slice(0, end);
    this.#rest = end < 0 ? "" : text.slice(end + 1);
    return stamp(whole, prefix);
  }

  /** The last line, when it has no newline. */
  end(prefix: string): string {
    const rest = this.#rest;
    this.#rest = "";
    return rest === "" ? "" : stamp(rest, prefix);
  }
}

function stamp(lines: string, prefix: string): string {
  return `${prefix}${prefix === "" ? lines : lines.replaceAll("\n", `\n${prefix}`)}\n`;
}
