/**
 * From_ quoting (mbox(5)), the reversible kind: what a reader takes off is exactly what was put on. Streaming.
 */

const NEWLINE = 10;
const GREATER = 62;
const FROM = Buffer.from("From ");
const QUOTE = Buffer.from(">");

/**
 * Puts ">" before lines that are "From " behind any number of ">", so that a reader cannot take them
 * for the beginning of a message; ends the message with a newline and an empty line. Streaming.
 */
export class FromQuoter {
  /** The beginning of a line that may still turn out to be From_. */
  #held: Buffer = Buffer.alloc(0);
  #lineStart = true;

  /** The bytes to write for `chunk`, as far as they are decided. */
  push(chunk: Buffer): Buffer[] {
    const data = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk;
    const out: Buffer[] = [];
    this.#held = Buffer.alloc(0);
    let written = 0;
    let at = 0;
    for (;;) {
      if (this.#lineStart) {
        const verdict = looksLikeFrom(data, at);
        if (verdict !== "no") out.push(data.subarray(written, at));
        if (verdict === "unknown") {
          this.#held = Buffer.from(data.subarray(at));
          return out;
        }
        if (verdict === "yes") {
          out.push(QUOTE);
          written = at;
        }
        this.#lineStart = false;
      }
      const newline = data.indexOf(NEWLINE, at);
      if (newline < 0) {
        out.push(data.subarray(written));
        return out;
      }
      at = newline + 1;
      this.#lineStart = true;
    }
  }

  /** What is left, the newline that the last line may lack, and the empty line behind a message. */
  end(): Buffer[] {
    const unfinished = !this.#lineStart || this.#held.length > 0;
    return [this.#held, Buffer.from(unfinished ? "\n\n" : "\n")];
  }
}

function looksLikeFrom(bytes: Buffer, from: number): "yes" | "no" | "unknown" {
  let at = from;
  while (bytes[at] === GREATER) at++;
  for (const byte of FROM) {
    if (at >= bytes.length) return "unknown";
    if (bytes[at++] !== byte) return "no";
  }
  return "yes";
}
